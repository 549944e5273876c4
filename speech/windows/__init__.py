"""The windows of a recording, which are the units of work: where they begin and end."""
