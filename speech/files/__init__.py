"""How the bytes of a file are laid out: its kind, files that were joined to one, one recording in several
files.
"""
