"""What an untrusted file says of itself. It is read before anything is decoded."""
