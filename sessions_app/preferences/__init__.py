"""The options that people prefer for new jobs, and how they want pages to look."""
