"""Tell the voices of all windows apart."""
