"""The commands that operators and developers start on the command line."""
