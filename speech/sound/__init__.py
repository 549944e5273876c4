"""Turn the bytes of a file into one stream of samples: tracks, channels, level, and the working copy."""
