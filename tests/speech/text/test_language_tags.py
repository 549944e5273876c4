import pytest

from speech.errors import UnknownLanguage
from speech.text.language_tags import LanguageTag, iso_code, read_language
from speech.text.languages import CANTONESE, WHISPER_LANGUAGES


@pytest.mark.parametrize(
    ("code", "wishes"),
    [
        ("en", ["en", "EN", " en ", "en-US", "en_GB.UTF-8", "eng", "English", "english", "English (US)"]),
        ("pt", ["pt_BR", "pt-BR", "por", "Portuguese", "Português", "portuguese-brazil"]),
        ("de", ["deu", "ger", "de-AT-1996", "de-Latn-DE", "de_DE@euro", "Deutsch", "DEUTSCH"]),
        ("es", ["es-419", "Castilian", "Español"]),
        ("no", ["nb", "nb-NO", "no", "nor", "nob", "Bokmål", "Norwegian Bokmål"]),
        ("nn", ["nn-NO", "Nynorsk"]),
        ("he", ["iw", "he-IL", "heb", "Hebrew", "עברית"]),
        ("id", ["in", "id_ID", "Bahasa Indonesia"]),
        ("tl", ["fil", "fil-PH", "Filipino", "Tagalog"]),
        ("jw", ["jv", "jw", "jav", "Javanese"]),
        ("yue", ["yue", "zh-yue", "Cantonese"]),
        ("zh", ["zh", "zho", "chi", "cmn", "Mandarin", "中文", "zh-cmn"]),
        ("ht", ["haitian creole", "Haitian_Creole"]),
        ("ga", ["ga-IE"]),  # an ISO code that only some providers take
        ("ceb", ["ceb"]),
        ("", ["", "  ", "auto", "AUTO", "und", "detect"]),
    ],
)
def test_a_language_is_known_however_it_is_written(code, wishes):
    assert {wish: read_language(wish) for wish in wishes} == dict.fromkeys(wishes, LanguageTag(code))


@pytest.mark.parametrize(
    ("tag", "wishes"),
    [
        ("zh-Hans", ["zh-Hans", "zh-CN", "zh_sg", "ZH-HANS-CN", "zh-CHS", "Simplified Chinese", "简体中文"]),
        (
            "zh-Hant",
            ["zh-Hant", "zh-TW", "zh_HK", "zh-MO", "zh_TW.Big5", "Chinese (Traditional)", "繁體中文"],
        ),
        ("zh-Hant", ["zh-Hant-CN", "cmn-Hant", "中文(台灣)", "Chinese (Taiwan)"]),
        ("yue-Hant", ["yue-HK", "zh-yue-Hant"]),
        ("zh", ["zh", "zh-419"]),
        ("pt", ["pt-MO"]),
    ],
)
def test_chinese_may_name_its_script_or_a_place_that_has_one(tag, wishes):
    assert {wish: str(read_language(wish)) for wish in wishes} == dict.fromkeys(wishes, tag)


@pytest.mark.parametrize(
    "wish", ["klingon", "xx", "en,de", "no language", "is it", "x" * 99, "*", "1", "e", "en\0"]
)
def test_what_is_no_language_is_named(wish):
    with pytest.raises(UnknownLanguage) as refused:
        read_language(wish)
    assert repr(wish[:40]) in str(refused.value)
    assert refused.value.option == "language"


def test_every_language_of_whisper_is_known_by_its_code():
    for code in WHISPER_LANGUAGES | CANTONESE:
        assert read_language(code) == LanguageTag(code)


def test_no_two_languages_share_a_name():
    from speech.text import language_tags

    names = [
        language_tags._plain(name)
        for line in language_tags._TABLE.strip().splitlines()
        for name in line.replace(":", ",", 1).split(",")
    ]
    assert len(names) == len(set(names))


def test_javanese_has_another_code_outside_of_whisper():
    assert (iso_code("jw"), iso_code("en")) == ("jv", "en")
