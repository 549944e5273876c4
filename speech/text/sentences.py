"""Find where sentences end: not at abbreviations, initials and ordinals, and not before a word in small
letters.
"""
# ruff: noqa: E501, RUF001 (tables of words in several scripts)

from __future__ import annotations

import re

CLOSERS = "\"')]}\u2019\u201d\u00bb\u3009\u300b\u300d\u300f\u3011\uff09"
_OPENERS = "\"'([{\u00ab\u201c\u201e\u2018\u00bf\u00a1\u2013\u2014-"
_ENDS = frozenset(".!?\u2026\u061f\u06d4\u0964\u0f0d\u0f0e\u104b\u17d4\u3002\uff01\uff1f\uff0e")

# These abbreviations never end a sentence. Those that may end one (etc., usw., a.m.) are in no table, because
# the next word decides.
_ABBREVIATIONS = {
    "en": "mr mrs ms messrs dr prof rev hon gen col capt lt sgt st mt ft gov sen rep pres e.g i.e vs cf approx",
    "de": "z.b d.h bzw u.a.m i.d.r v.a z.t u.u s.o s.u o.ä o.g sog ca dr prof dipl ing hr fr frl nr bspw "
    "evtl ggf inkl vgl abs tel str st max min",
    "fr": "mm mme mlle dr pr me p.ex c.-à-d cf env no av st ste",
    "es": "sr sra srta sres dr dra prof profa ing lic d dª p.ej pág núm av ud uds gral",
    "it": "sig sig.ra sigg dott dott.ssa prof prof.ssa ing avv arch on p.es ad.es pag s",
    "pt": "sr sra srta dr dra prof profa eng exmo exma p.ex pág av n.º núm",
    "nl": "dhr mevr mw dr drs ir ing prof mr bijv d.w.z o.a m.b.t t.a.v m.a.w i.p.v z.g nr blz ca",
    "ru": "т.е т.к т.н т.о напр см ср им ул пл просп проф акад св тов стр рис тыс млн млрд руб",
}
_TABLES = {language: frozenset(words.split()) for language, words in _ABBREVIATIONS.items()}
# For an unknown language: all abbreviations except those that are words of another language ("ir", "no",
# "me", "ms", "str").
_ANY = frozenset().union(*_TABLES.values()) - {"no", "me", "ir", "ad", "on", "max", "min", "fr", "hr", "им"}
# After an initial or an ordinal these words begin a sentence: "Plan B. The rest", "am 3. Dann".
_STARTERS = frozenset(
    """
    the a an he she it we they i you this that these those but and so then in on at there what when if
    der die das ein eine er sie es wir ich ihr und aber dann doch so
    le la les un une il elle nous vous je on et mais el los las una él ella yo y pero lo gli io e ma
    o os as ele ela eu mas de het een hij zij ze we ik en maar он она оно они мы я вы это в на и но а
    """.split()  # noqa: SIM905  a list of a hundred quoted strings reads worse
)
_ORDINALS = frozenset(
    {"de", "lb", "da", "no", "nn", "fi", "cs", "sk", "pl", "hu", "hr", "sl", "et", "lv", "tr"}
)
_MONTHS = frozenset(
    [
        "januar",
        "jänner",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
        "jahrhundert",
    ]
)
_LETTERS = re.compile(r"[^\W\d_]{1,2}(\.[^\W\d_]{1,2})*")
_NUMBER = re.compile(r"[0-9]{1,2}")


def ends_sentence(text: str, after: str = "", language: str = "") -> bool:
    """Whether the text ends as a sentence does. Closing quotes and brackets do not count.

    `after` is what comes next, or '' if nothing comes or it is not known. `language` is an ISO 639-1 code, or
    '' if it is not known. `text` should have more than its last word, because "z. B." and "J. R. R." have
    several.
    """
    bare = text.rstrip(CLOSERS)
    if bare[-1:] not in _ENDS:
        return False
    following = after.split()[0].strip(_OPENERS + CLOSERS) if after.split() else ""
    if following[:1].islower():
        return False
    if not bare.endswith(".") or bare.endswith(".."):
        return True
    words = [word.strip(_OPENERS + CLOSERS) for word in bare[-60:].split()[-4:]]
    name = (words[-1] if words else "")[:-1]
    table = _TABLES.get(language, _ANY)
    if name.casefold() in table or _spelt(words).casefold() in table:
        return False
    begins = not following or following.rstrip(",.!?").casefold() in _STARTERS
    if _NUMBER.fullmatch(name):
        month = following.rstrip(",.!?").casefold() in _MONTHS
        return not (month or language in _ORDINALS) or (begins and not month)
    if _LETTERS.fullmatch(name) and (len(name) == 1 or "." in name):
        # "So do I." ends a sentence. "7 p.m." and "u.a." end one before a capital.
        return begins or (name == "I" and language in ("en", "")) or (len(name) > 1 and name.islower())
    return True


def _spelt(words: list[str]) -> str:
    """Return the last words as one abbreviation: "z. B." as "z.B"."""
    joined = ""
    for word in reversed(words):
        if not word.endswith(".") or len(word) > 4:
            break
        joined = word + joined
    return joined[:-1]
