"""Recorded planes to super-resolved planes."""
