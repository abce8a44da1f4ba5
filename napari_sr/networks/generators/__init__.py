"""The generator networks, one module each."""
