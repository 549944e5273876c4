"""Everything that people do: they send audio, read transcripts, and change them."""
