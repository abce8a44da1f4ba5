"""The quality of a result in napari."""
