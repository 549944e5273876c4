"""The speech models of this machine: which there are, where they come from, and where they lie."""
