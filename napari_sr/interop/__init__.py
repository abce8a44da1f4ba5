"""Networks of other people, read without running anything that comes with them."""
