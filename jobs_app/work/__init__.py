"""Do one unit of work, from reading the audio to storing the result."""
