"""TIFF, ImageJ TIFF and OME-TIFF, read and written."""
