"""TIFF, ImageJ TIFF and OME-TIFF, read and written."""

import logging

# What is wrong with a file is said by us in a sentence, and not before that too. It is
# here so that no module of this room can read a file before. Whoever listens to logs
# still gets the lines of tifffile.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
