"""The transcripts that people and programs read."""
