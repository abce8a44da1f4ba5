"""Model files to something that computes."""
