"""Show the people who run the site its health, its queue and its tables."""
