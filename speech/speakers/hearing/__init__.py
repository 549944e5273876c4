"""Hear the voices in a window."""
