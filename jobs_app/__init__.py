"""Everything that the computer does with recordings: jobs, units of work, transcripts and workers."""
