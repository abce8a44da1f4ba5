"""Super-resolving a layer in napari."""
