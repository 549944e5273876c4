"""Filters and tags with which templates show times, lengths, languages and words."""
