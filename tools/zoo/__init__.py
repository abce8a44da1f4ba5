"""Training of the model files that are shipped."""
