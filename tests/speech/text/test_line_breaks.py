"""Captions in scripts that have no spaces between words."""

# ruff: noqa: E501 (look-alike letters are what is tested)

from __future__ import annotations

import random
import subprocess
import sys
import unicodedata
from itertools import pairwise

import pytest

from speech.captions.cues import LINE_WIDTH, make_cues
from speech.text.line_breaks import character_starts, word_starts
from speech.types import SpeechSegment
from tests.services import ROOT

THAI = "สวัสดี ครับ วัน นี้ เรา จะ มา พูด คุย เกี่ยว กับ การ ถอด เสียง ภาษา ไทย ซึ่ง เป็น เรื่อง ที่ ยาก มาก เพราะ ไม่มี ช่อง ว่าง ระหว่าง คำ เลย"
LAO = "ສະບາຍດີ ມື້ນີ້ ພວກ ເຮົາ ຈະ ມາ ເວົ້າ ກ່ຽວກັບ ພາສາ ລາວ ເຊິ່ງ ບໍ່ມີ ຊ່ອງຫວ່າງ ລະຫວ່າງ ຄຳ"
KHMER = "សួស្តី ថ្ងៃនេះ យើង នឹង និយាយ អំពី ភាសាខ្មែរ ដែល គ្មាន ចន្លោះ រវាង ពាក្យ"
BURMESE = "မင်္ဂလာ ပါ ယနေ့ ကျွန်ုပ် တို့သည် မြန်မာဘာသာ စကား အကြောင်း ပြော ပါ မည်"
TIBETAN = "བོད་ ཀྱི་ སྐད་ ཡིག་ ནི་ བོད་ མི་ རིགས་ ཀྱི་ སྐད་ ཡིག་ ཡིན། དེ་ ནི་ ཧ་ ཅང་ གལ་ ཆེན་ པོ་ ཡིན།"
SCRIPTS = pytest.mark.parametrize("words", [THAI, LAO, KHMER, BURMESE, TIBETAN])
LEADING, FOLLOWING = "เแโใไເແໂໃໄ", "ะาำๅๆฯະາຳໆຯຽ"


def lines(text: str, length_ms: int = 9_000) -> list[str]:
    return [line for cue in make_cues([SpeechSegment(0, length_ms, text)]) for line in cue.lines]


def columns(line: str) -> int:
    return sum(unicodedata.category(char) not in ("Mn", "Cf") for char in line)


def assert_whole_characters(neighbours: list[str]) -> None:
    """That each two characters may be on two lines."""
    for before, after in neighbours:
        assert before not in LEADING
        assert before not in "\u1039\u17d2"  # a consonant is to stand below
        assert after not in FOLLOWING
        assert unicodedata.category(after) not in ("Mn", "Mc", "Me")


@SCRIPTS
def test_lines_end_between_words(words):
    text = words.replace(" ", "") * 2
    edges = {0}
    for word in words.split() * 2:
        edges.add(max(edges) + len(word))
    shown = lines(text)
    assert "".join(shown) == text
    at = 0
    for line in shown:
        assert at in edges, line
        assert 1 < columns(line) <= LINE_WIDTH
        at += len(line)


def test_the_two_lines_of_a_caption_are_about_as_long_as_each_other():
    cues = make_cues([SpeechSegment(0, 9_000, THAI.replace(" ", ""))])
    assert [len(cue.lines) for cue in cues] != [1] * len(cues)
    for cue in cues:
        assert len(cue.lines) == 1 or abs(columns(cue.lines[0]) - columns(cue.lines[1])) <= 8


def test_spaces_between_phrases_are_better_places_than_those_between_words():
    first, second = "วันนี้เราจะมาพูดคุยเกี่ยวกับภาษาไทย", "ซึ่งเป็นเรื่องที่ยากมากเพราะไม่มีช่องว่าง"
    assert lines(f"{first} {second}") == [first, second]


@SCRIPTS
def test_what_is_no_word_is_cut_between_whole_characters(words):
    letters = [*words.replace(" ", "")]
    whole = character_starts("".join(letters))
    assert len(whole) > len(letters) / 4
    for seed in range(20):
        random.Random(seed).shuffle(letters)
        text = "".join(letters) * 3
        assert "".join(lines(text)) == text
        places = character_starts(text)
        assert_whole_characters([text[at - 1 : at + 1] for at in places])
        assert not set(word_starts(text, places)) - set(places)


def test_a_word_that_no_line_holds_is_cut_into_parts_of_one_length():
    assert [len(line) for line in lines("กา" * 22)] == [22, 22]
    assert [len(line) for line in lines("x" * 43)] == [21, 22]


@pytest.mark.parametrize("one", ["🇩🇪", "👨\u200d👩\u200d👧", "👍🏽", "e\u0301", "กำ", "ខ្ម", "က္က", "नि"])
def test_no_character_is_cut(one):
    shown = lines(one * 100)
    assert "".join(shown) == one * 100
    assert all(line == one * (len(line) // len(one)) for line in shown)


def test_words_of_one_character_do_not_stand_alone():
    text = "ณที่นี้ณที่นี้"
    pieces = [text[a:b] for a, b in pairwise([0, *word_starts(text, character_starts(text)), len(text)])]
    assert pieces == ["ณที่", "นี้ณ", "ที่นี้"]


def test_latin_words_among_them_stay_whole():
    text = THAI.replace(" ", "").replace("ภาษา", "Kubernetes")
    assert sum("Kubernetes" in line for line in lines(text)) == 1


def test_text_with_spaces_is_left_to_its_spaces():
    text = "wide-awake"
    assert word_starts(text, character_starts(text)) == []


def test_the_words_are_known_without_a_network_or_files_elsewhere():
    script = f"""
import socket, sys
def refuse(event, args):
    if event.startswith("socket.") or event == "open" and "icu" in str(args[0]).lower():
        raise RuntimeError(event)
from speech.text.line_breaks import character_starts, word_starts
sys.addaudithook(refuse)
text = {THAI!r}.replace(" ", "")
assert len(word_starts(text, character_starts(text))) > 20
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=True)
