"""The generators as they run: the same functions, arranged for speed."""
