"""What a model says of itself; no torch is needed to read it."""
