"""The English names of languages, as pages show them and chat models are told them."""

from __future__ import annotations

from django.conf.locale import LANG_INFO

# Speech models know these languages, but Django has no names for them.
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
    "zh-Hans": "Chinese (simplified)",
    "zh-Hant": "Chinese (traditional)",
}


def language_name(code: str) -> str:
    """Return the English name of an ISO 639-1 code, or the code itself if it has no name."""
    return _MORE.get(code) or LANG_INFO.get(code, {}).get("name", code)
