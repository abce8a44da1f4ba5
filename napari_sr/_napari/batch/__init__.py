"""Super-resolving many files from napari."""
