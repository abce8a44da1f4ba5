"""Between napari's layers and stacks: reading, writing, where they lie."""
