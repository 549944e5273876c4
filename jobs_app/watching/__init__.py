"""What staff see of all jobs at once."""
