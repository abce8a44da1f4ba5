"""Upscalers that need no GAN, as comparison and where nothing should be invented."""
