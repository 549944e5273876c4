"""The names of languages, for people."""

from __future__ import annotations

from django.conf.locale import LANG_INFO

# What speech models know and Django has no translation of.
_MORE = {
    "am": "Amharic",
    "as": "Assamese",
    "ba": "Bashkir",
    "bo": "Tibetan",
    "fo": "Faroese",
    "gu": "Gujarati",
    "ha": "Hausa",
    "haw": "Hawaiian",
    "ht": "Haitian Creole",
    "jw": "Javanese",
    "la": "Latin",
    "ln": "Lingala",
    "lo": "Lao",
    "mg": "Malagasy",
    "mi": "Māori",
    "mt": "Maltese",
    "oc": "Occitan",
    "ps": "Pashto",
    "sa": "Sanskrit",
    "sd": "Sindhi",
    "si": "Sinhala",
    "sn": "Shona",
    "so": "Somali",
    "su": "Sundanese",
    "tl": "Tagalog",
    "yi": "Yiddish",
    "yo": "Yoruba",
    "yue": "Cantonese",
    "zh": "Chinese",
}


def language_name(code: str) -> str:
    """The English name of an ISO 639-1 code; the code itself where there is none."""
    return _MORE.get(code) or LANG_INFO.get(code, {}).get("name", code)
