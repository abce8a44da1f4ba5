"""Questions that were asked once, kept with their answers."""
