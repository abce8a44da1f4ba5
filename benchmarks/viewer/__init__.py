"""How late the viewer is while something is computed."""
