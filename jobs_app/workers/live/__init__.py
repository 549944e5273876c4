"""The processes that hear recordings while they are spoken."""
