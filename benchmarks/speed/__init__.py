"""Ratios of time, and memory."""
