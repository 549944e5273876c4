"""Read languages as people and programs write them: codes of every ISO 639, tags with regions, names."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from speech.errors import UnknownLanguage
from speech.text.languages import CANTONESE, WHISPER_LANGUAGES

Script = Literal["", "Hans", "Hant"]

CHINESE = frozenset({"zh", "yue"})
"""Languages that are written in one of two scripts, by the choice of the reader."""

# Each row has Whisper's code; then other codes (ISO 639-2 and 639-3, withdrawn ones, languages that Whisper
# hears as this one), the English names, and the language's own name.
_TABLE = """
    af: afr, afrikaans
    am: amh, amharic, አማርኛ
    ar: ara, arb, arabic, العربية
    as: asm, assamese, অসমীয়া
    az: aze, azj, azerbaijani, azeri, azərbaycan
    ba: bak, bashkir, башҡорт
    be: bel, belarusian, белорусская, беларуская
    bg: bul, bulgarian, български
    bn: ben, bengali, bangla, বাংলা
    bo: bod, tib, tibetan, བོད་ཡིག
    br: bre, breton, brezhoneg
    bs: bos, bosnian, bosanski
    ca: cat, catalan, valencian, català
    cs: ces, cze, czech, čeština
    cy: cym, wel, welsh, cymraeg
    da: dan, danish, dansk
    de: deu, ger, gsw, german, deutsch
    el: ell, gre, greek, ελληνικά
    en: eng, english
    es: spa, spanish, castilian, español, castellano
    et: est, ekk, estonian, eesti
    eu: eus, baq, basque, euskara
    fa: fas, per, pes, prs, persian, farsi, dari, فارسی
    fi: fin, finnish, suomi
    fo: fao, faroese, føroyskt
    fr: fra, fre, french, français
    gl: glg, galician, galego
    gu: guj, gujarati, ગુજરાતી
    ha: hau, hausa
    haw: hawaiian
    he: iw, heb, hebrew, עברית
    hi: hin, hindi, हिन्दी, हिंदी
    hr: hrv, croatian, hrvatski
    ht: hat, haitian, haitian creole, kreyòl ayisyen
    hu: hun, hungarian, magyar
    hy: hye, arm, armenian, հայերեն
    id: in, ind, indonesian, bahasa indonesia
    is: isl, ice, icelandic, íslenska
    it: ita, italian, italiano
    ja: jpn, japanese, 日本語
    jw: jv, jav, javanese, basa jawa
    ka: kat, geo, georgian, ქართული
    kk: kaz, kazakh, қазақ
    km: khm, khmer, cambodian, ខ្មែរ
    kn: kan, kannada, ಕನ್ನಡ
    ko: kor, korean, 한국어
    la: lat, latin
    lb: ltz, luxembourgish, letzeburgesch, lëtzebuergesch
    ln: lin, lingala
    lo: lao, ລາວ
    lt: lit, lithuanian, lietuvių
    lv: lav, lvs, latvian, latviešu
    mg: mlg, plt, malagasy
    mi: mri, mao, maori, māori
    mk: mkd, mac, macedonian, македонски
    ml: mal, malayalam, മലയാളം
    mn: mon, khk, mongolian, монгол
    mr: mar, marathi, मराठी
    ms: msa, may, zsm, malay, bahasa melayu
    mt: mlt, maltese, malti
    my: mya, bur, burmese, myanmar, မြန်မာ
    ne: nep, npi, nepali, नेपाली
    nl: nld, dut, dutch, flemish, nederlands, vlaams
    nn: nno, nynorsk, norwegian nynorsk
    no: nb, nor, nob, norwegian, bokmål, bokmal, norwegian bokmål, norwegian bokmal, norsk, norsk bokmål
    oc: oci, occitan
    pa: pan, punjabi, panjabi, ਪੰਜਾਬੀ
    pl: pol, polish, polski
    ps: pus, pbt, pashto, pushto, پښتو
    pt: por, portuguese, português
    ro: mo, ron, rum, mol, romanian, moldavian, moldovan, română
    ru: rus, russian, русский
    sa: san, sanskrit, संस्कृतम्
    sd: snd, sindhi, سنڌي
    si: sin, sinhala, sinhalese, සිංහල
    sk: slk, slo, slovak, slovenčina
    sl: slv, slovenian, slovene, slovenščina
    sn: sna, shona
    so: som, somali, soomaali
    sq: sqi, alb, als, albanian, shqip
    sr: sh, srp, hbs, serbian, српски, srpski
    su: sun, sundanese, basa sunda
    sv: swe, swedish, svenska
    sw: swa, swh, swahili, kiswahili
    ta: tam, tamil, தமிழ்
    te: tel, telugu, తెలుగు
    tg: tgk, tajik, тоҷикӣ
    th: tha, thai, ไทย, ภาษาไทย
    tk: tuk, turkmen
    tl: fil, tgl, tagalog, filipino, pilipino
    tr: tur, turkish, türkçe
    tt: tat, tatar, татар
    uk: ukr, ukrainian, українська
    ur: urd, urdu, اردو
    uz: uzb, uzn, uzbek, o'zbek
    vi: vie, vietnamese, tiếng việt
    yi: ji, yid, ydd, yiddish, ייִדיש
    yo: yor, yoruba, yorùbá
    yue: cantonese, 粤语, 粵語, 廣東話, 广东话
    zh: zho, chi, cmn, chinese, mandarin, mandarin chinese, 中文, 汉语, 漢語, 普通话, 國語, 国语
"""
# ISO 639-1 codes that Whisper does not know. A provider may know them.
_OTHERS = frozenset(
    """
    aa ab ae ak an av ay bh bi bm ce ch co cr cu cv dv dz ee eo ff fj fy ga gd gn gv ho hz ia ie ig ii ik io
    iu kg ki kj kl kr ks ku kv kw ky lg li lu mh na nd ng nr nv ny oj om or os pi qu rm rn rw sc se sg sm ss
    st ti tn to ts tw ty ug ve vo wa wo xh za zu
    """.split()  # noqa: SIM905  as in `languages`
)
_FIND_OUT = frozenset({"", "auto", "autodetect", "auto-detect", "automatic", "detect", "mul", "multi", "und"})
_SCRIPTS: dict[str, Script] = {
    **dict.fromkeys(("hans", "chs", "simplified", "简体", "简体中文", "簡體中文"), "Hans"),
    **dict.fromkeys(("hant", "cht", "traditional", "繁體", "繁體中文", "繁体中文", "正體中文"), "Hant"),
}
_REGIONS: dict[str, Script] = {
    "cn": "Hans",
    "sg": "Hans",
    "tw": "Hant",
    "hk": "Hant",
    "mo": "Hant",
    "taiwan": "Hant",
    "台灣": "Hant",
    "台湾": "Hant",
    "香港": "Hant",
}
# The parts of a BCP 47 tag: language, extended language, script, region, variants, extensions.
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(-(?P<extended>[a-z]{3}))?(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-z0-9](-[a-z0-9]{1,8})+)*"
)
_ENCODING = re.compile(r"[.@].*")
_BRACKETS = re.compile(r"[\s_,;/()\[\]\uff08\uff09-]+")


@dataclass(frozen=True, slots=True)
class LanguageTag:
    """A language: Whisper's `code`, or '' if the engine should detect it; and the Chinese script to write it
    in.

    A language that Whisper does not know has its ISO 639 code, which only some engines accept.
    """

    code: str = ""
    script: Script = ""

    def __str__(self) -> str:
        return f"{self.code}-{self.script}" if self.script else self.code


def read_language(wish: str) -> LanguageTag:
    """Read `en`, `EN`, `en-US`, `pt_BR.UTF-8`, `por`, `iw`, `zh-TW`, `English`, `Deutsch` or `auto`.

    Raises:
        UnknownLanguage: no language has this name. The message quotes what was written.
    """
    wish = wish.strip()
    plain = _plain(_ENCODING.sub("", wish))
    if plain in _FIND_OUT:
        return LanguageTag()
    parts = plain.split("-")
    code = _CODES.get(plain) or _of_tag(_ENCODING.sub("", wish.casefold()).replace("_", "-"))
    if not code:
        # Names such as "Chinese (Traditional)", "Simplified Chinese", "繁體中文", "English (United States)".
        words = [part for part in parts if part not in _SCRIPTS]
        code = "zh" if not words else _of_name(words)
    if not code:
        raise UnknownLanguage(wish)
    return LanguageTag(code, _script(parts[1:] if len(parts[0]) < 4 else parts) if code in CHINESE else "")


def language_code(name: str) -> str:
    """Return `en` for "english", "English", "en" and "en-US"; '' for a language that Whisper does
    not know.
    """
    try:
        code = read_language(name).code
    except UnknownLanguage:
        return ""
    return code if code in WHISPER_LANGUAGES | CANTONESE else ""


def iso_code(code: str) -> str:
    """Turn a code of Whisper's into the code of ISO 639."""
    return "jv" if code == "jw" else code


def _plain(name: str) -> str:
    return _BRACKETS.sub("-", unicodedata.normalize("NFC", name.casefold())).strip("-")


def _of_tag(tag: str) -> str:
    found = _TAG.fullmatch(tag)
    if found is None:
        return ""
    language, extended = found["language"], found["extended"]
    if extended in _CODES:  # zh-yue, zh-cmn-Hans
        return _CODES[extended]
    known = _CODES.get(language)
    return known or (language if language in _OTHERS or len(language) == 3 else "")


def _of_name(words: list[str]) -> str:
    """Return the language that the first words name. A code of two or three letters is not a name."""
    for end in range(len(words), 0, -1):
        name = "-".join(words[:end])
        if name in _CODES and (len(name) > 3 or not name.isascii()):
            return _CODES[name]
    return ""


def _script(parts: list[str]) -> Script:
    """Return the script. A named script counts before a region."""
    for table in (_SCRIPTS, _REGIONS):
        for part in parts:
            if part in table:
                return table[part]
    return ""


def _codes() -> dict[str, str]:
    codes = {}
    for line in _TABLE.strip().splitlines():
        code, _, others = line.strip().partition(": ")
        for other in (code, *others.split(", ")):
            codes[_plain(other)] = code
    return codes


_CODES = _codes()
