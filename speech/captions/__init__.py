"""Transcripts as files: captions, plain text, JSON."""
