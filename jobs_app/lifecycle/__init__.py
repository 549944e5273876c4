"""All changes of the state of jobs and of their work."""
