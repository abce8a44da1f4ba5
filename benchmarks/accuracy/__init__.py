"""The tables of accuracy; run before a release."""
