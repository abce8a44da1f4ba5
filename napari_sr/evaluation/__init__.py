"""Models and rivals on sharp images; results and methods side by side."""
