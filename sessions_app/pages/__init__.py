"""The pages of recordings and of their transcripts."""
