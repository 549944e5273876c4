"""Speech to text on files and samples. Pure Python: knows nothing of Django, of jobs or of settings."""
