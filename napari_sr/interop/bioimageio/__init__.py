"""Packages of bioimage.io: models whose result is finer than the image."""
