from dataclasses import replace

import pytest

from speech.captions.formats import to_srt
from speech.text.scripts import in_script
from speech.types import SpeechSegment, Transcription, Word


def heard(*words: str, text: str = "") -> Transcription:
    timed = tuple(Word(n * 500, n * 500 + 400, word, 0.9) for n, word in enumerate(words))
    return Transcription((SpeechSegment(0, len(words) * 500, text or "".join(words), 0.9, timed),), "zh")


def texts(transcription: Transcription) -> tuple[str, list[str]]:
    [segment] = transcription.segments
    return segment.text, [word.text for word in segment.words]


@pytest.mark.parametrize(
    ("script", "text", "words"),
    [
        ("Hans", "这个软件为什么在后面?", ["这个", "软件", "为什么", "在", "后面?"]),
        ("Hant", "這個軟件為什麼在後面?", ["這個", "軟件", "為什麼", "在", "後面?"]),
    ],
)
def test_a_text_in_both_scripts_comes_out_in_one(script, text, words):
    mixed = heard("这個", "软件", "為什么", "在", "後面?")
    converted = in_script(mixed, script)
    assert texts(converted) == (text, words)
    [before], [after] = mixed.segments, converted.segments
    assert replace(after, text=before.text, words=before.words) == before
    times = [(word.start_ms, word.end_ms, word.confidence) for word in after.words]
    assert times == [(word.start_ms, word.end_ms, word.confidence) for word in before.words]
    assert text in to_srt(converted.segments)


def test_a_word_is_written_as_its_neighbours_ask():
    # 干 alone could be any of four; 头 and 发 are two words here.
    assert texts(in_script(heard("头", "发", "很", "干", "燥"), "Hant")) == ("頭髮很乾燥", [*"頭髮很乾燥"])


def test_words_of_other_scripts_and_spaces_stay():
    assert texts(in_script(heard("用", "Django", "开发", text="用 Django 开发"), "Hant")) == (
        "用 Django 開發",
        ["用", "Django", "開發"],
    )


def test_words_that_are_not_those_of_the_text_are_written_alike():
    assert texts(in_script(heard("头发", "。", text="她的头发"), "Hant")) == ("她的頭髮", ["頭髮", "。"])


def test_without_a_script_nothing_is_changed():
    mixed = heard("这個", "软件")
    assert in_script(mixed, "") is mixed
