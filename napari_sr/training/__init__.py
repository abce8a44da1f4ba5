"""Sharp images to a trained model."""
