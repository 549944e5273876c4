"""Speech to text for files and samples. This is pure Python: it knows nothing of Django, jobs or settings."""
