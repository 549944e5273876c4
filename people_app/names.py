"""Which spellings of a name mean the same account, and which names may be taken."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError

LONGEST = 150

# Letters of Cyrillic and Greek that look exactly like Latin ones.
_AS_LATIN = frozenset("авекмнорстухѕіјԁԛԝһӏѵАВЕКМНОРСТУХЅІЈԚԜҺӀαικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")


def same_name(name: str) -> str:
    """Return what all spellings of a name have in common, also those with capitals or full-width letters."""
    name = unicodedata.normalize("NFKC", name).strip()
    # Case folding can leave text that normalization changes once more.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name.casefold()).casefold())


def check_new_name(name: str) -> None:
    """Raise ValidationError for a name that looks like another one, or is too long to be compared."""
    if len(same_name(name)) > LONGEST:
        # One Arabic character can stand for eighteen.
        raise ValidationError("This name is too long. Choose a shorter one.", code="max_length")
    scripts = {_script(letter) for letter in name if letter.isalpha()}
    if len(scripts) > 1:
        raise ValidationError(
            "Write the whole name in one script: with letters of several it looks like another name.",
            code="mixed_scripts",
        )
    if scripts and all(letter in _AS_LATIN for letter in name if letter.isalpha()):
        raise ValidationError("This name looks like one in Latin letters. Choose another.", code="look_alike")


def _script(letter: str) -> str:
    """Return the first word of a letter's Unicode name: LATIN, CYRILLIC, HANGUL. The scripts of Japanese
    count as one.
    """
    script = unicodedata.name(letter, "UNKNOWN").split()[0]
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "BOPOMOFO", "KATAKANA-HIRAGANA") else script
