"""Resumable uploads: they go on where they broke off, by the protocol tus."""
