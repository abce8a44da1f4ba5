"""The models that are there, in napari."""
