"""What makes things that are shipped."""
