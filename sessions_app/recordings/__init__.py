"""Recordings in the REST API: their chunks, their audio and their state."""
