"""Which language is spoken: what is likely before anything is heard, and what was heard."""
