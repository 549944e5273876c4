"""What a job is asked to do, and what engines and providers can do of it."""
