"""A name or a path to an upscaler; model files into and out of the user's folder."""
