"""Formats that are read through small public libraries, and not written."""
