"""Comparing methods on a recording in napari."""
