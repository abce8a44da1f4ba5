"""The instrument: what it makes of a specimen, and data consistency with it."""
