"""The code of a language that a server names in English, as OpenAI's `verbose_json` does."""

from __future__ import annotations

from speech.engines.languages import CANTONESE, WHISPER_LANGUAGES

_CODES = WHISPER_LANGUAGES | CANTONESE
_NAMES = dict(
    pair.split(":")
    for pair in """
    afrikaans:af albanian:sq amharic:am arabic:ar armenian:hy assamese:as azerbaijani:az bashkir:ba
    basque:eu belarusian:be bengali:bn bosnian:bs breton:br bulgarian:bg burmese:my cantonese:yue
    castilian:es catalan:ca chinese:zh croatian:hr czech:cs danish:da dutch:nl english:en
    estonian:et faroese:fo finnish:fi flemish:nl french:fr galician:gl georgian:ka german:de
    greek:el gujarati:gu haitian:ht haitian_creole:ht hausa:ha hawaiian:haw hebrew:he hindi:hi
    hungarian:hu icelandic:is indonesian:id italian:it japanese:ja javanese:jw kannada:kn kazakh:kk
    khmer:km korean:ko lao:lo latin:la latvian:lv letzeburgesch:lb lingala:ln lithuanian:lt
    luxembourgish:lb macedonian:mk malagasy:mg malay:ms malayalam:ml maltese:mt mandarin:zh maori:mi
    marathi:mr moldavian:ro moldovan:ro mongolian:mn myanmar:my nepali:ne norwegian:no nynorsk:nn
    occitan:oc panjabi:pa pashto:ps persian:fa polish:pl portuguese:pt punjabi:pa pushto:ps
    romanian:ro russian:ru sanskrit:sa serbian:sr shona:sn sindhi:sd sinhala:si sinhalese:si
    slovak:sk slovenian:sl somali:so spanish:es sundanese:su swahili:sw swedish:sv tagalog:tl
    tajik:tg tamil:ta tatar:tt telugu:te thai:th tibetan:bo turkish:tr turkmen:tk ukrainian:uk
    urdu:ur uzbek:uz valencian:ca vietnamese:vi welsh:cy yiddish:yi yoruba:yo
    """.split()  # noqa: SIM905  as in `languages`
)


def language_code(name: str) -> str:
    """`en` for "english", "English", "en" and "en-US"; '' for what is no language here."""
    plain = name.strip().lower().replace(" ", "_")
    if plain in _NAMES:
        return _NAMES[plain]
    code = plain.replace("-", "_").partition("_")[0]
    return code if code in _CODES else ""
