"""Translate the segments of a transcript by a chat model: batches, prompts, and what answers are worth."""
