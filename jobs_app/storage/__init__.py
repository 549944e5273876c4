"""Files in the storage: how they are made durable, and removed when no row names them."""
