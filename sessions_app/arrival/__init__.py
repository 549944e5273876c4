"""Receive and store audio: uploads, and the chunks of recordings."""
