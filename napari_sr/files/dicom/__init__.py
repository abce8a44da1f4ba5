"""DICOM images and series, read and written."""
