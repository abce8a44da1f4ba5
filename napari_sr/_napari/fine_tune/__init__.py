"""Fine-tuning a model in napari."""
