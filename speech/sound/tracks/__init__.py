"""The audio tracks of a file: which of them are heard, and how several are heard as one sound."""
