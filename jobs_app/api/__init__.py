"""The REST API of jobs, their history and their transcripts."""
