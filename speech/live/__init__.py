"""Text while somebody speaks: where an utterance ends, and what is shown of it until then."""
