"""Commands that measure; each prints the table that the documentation quotes."""
