"""Translates the segments of a transcript by a chat model."""
