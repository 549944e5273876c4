"""The formats in which transcripts are downloaded. Each is one file, named by the ending of its files."""
