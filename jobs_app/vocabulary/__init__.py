"""A person's corrections and target words, applied to transcripts."""
