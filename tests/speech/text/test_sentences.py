# ruff: noqa: E501, RUF001 (look-alike letters are what is tested)

import pytest

from speech.text.sentences import ends_sentence


@pytest.mark.parametrize(
    ("language", "text", "after"),
    [
        ("en", "with Mr.", "Smith"), ("en", "and Dr.", "Who"), ("en", "J. R. R.", "Tolkien"), ("en", "fruit, e.g.", "Apples"),
        ("en", '"What?"', "he asked"), ("en", "well...", "perhaps"), ("en", "at 7 p.m.", "tomorrow"),
        ("de", "am 3.", "Mai"), ("de", "z. B.", "Berlin"), ("de", "d. h.", "Die"), ("de", "bzw.", "Hunde"), ("de", "usw.", "und"),
        ("fr", "p. ex.", "Paris"), ("fr", "avec M.", "Dupont"), ("es", "la Sra.", "García"), ("it", "il sig.", "Rossi"),
        ("pt", "o Sr.", "Silva"), ("nl", "o.a.", "Amsterdam"), ("nl", "mevr.", "Jansen"), ("ru", "т. е.", "Москва"), ("ru", "А. С.", "Пушкин"),
        ("", "with Mr.", "Smith"), ("", "z. B.", "Berlin"), ("", "example.com", "Then"), ("", "3.5", "Then"),
    ],
)  # fmt: skip
def test_a_stop_that_ends_nothing(language, text, after):
    assert not ends_sentence(text, after, language)


@pytest.mark.parametrize(
    ("language", "text", "after"),
    [
        ("en", "It ends.", "Then"), ("en", "He said no.", "Then"), ("en", "See example.com.", "Then"), ("en", "So do I.", "Then"),
        ("en", "Plan B.", "The"), ("en", "at 7 p.m.", "Then"), ("en", 'He said "yes."', "Then"), ("en", "It was 1999.", "Then"),
        ("de", "Hunde usw.", "Danach"), ("de", "Es waren 30.", "Dann"), ("en", "It was 30.", "Nobody"),
        ("fr", "C'est fini.", "Puis"), ("ru", "в 1999 г.", "Он"), ("", "Vamos ir.", "Depois"), ("", "終わりです。", "次"), ("", "Well...", "Then"), ("", ".", ""),
    ],
)  # fmt: skip
def test_a_stop_that_ends_a_sentence(language, text, after):
    assert ends_sentence(text, after, language)
