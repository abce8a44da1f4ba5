"""Models and baselines on sharp images; results and methods side by side."""
