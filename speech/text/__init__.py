"""Texts in many languages: words, sentences, line breaks, scripts, corrections."""
