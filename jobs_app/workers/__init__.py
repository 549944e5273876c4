"""The processes that do the work, and the tasks that run beside it."""
