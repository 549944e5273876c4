from __future__ import annotations

import re
from pathlib import Path

import pytest

from speech.transcript_warnings import SENTENCES, heard_tracks, transcript_warnings
from speech.types import DecodeReport

SOFT = {"raised_db": 22.0, "peak_dbfs": -50.0, "raised_ms": 9000, "duration_ms": 10_000}


def unheard(why: str) -> dict[str, object]:
    tracks = {"count": 2, "heard": [0], "languages": ["", ""], "unheard": [{"track": 1, "why": why}]}
    return {"audio_tracks": tracks}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (
            {"bad_packets": 2, "bad_reads": 1, "filled_ms": 1200},
            "damaged",
            "3 damaged places were skipped, 1.2 s",
        ),
        ({"cut_off": True, "cut_off_ms": 5000}, "cut_off", "5.0 s"),
        ({"cut_off_ms": 5000}, "cut_off", "5.0 s"),
        ({"cut_off": True, "cut_off_ms": 0}, "cut_off", "its end is not there"),
        ({"dropped_ms": 300_000}, "dropped_time", "5 min"),
        ({"unread_bytes": 2_500_000}, "unread_end", "2.5 MB"),
        ({"clock_jumps": 1}, "clock_jump", "once"),
        (SOFT, "low_level", "22 dB"),
        ({"raised_db": 0.0, "peak_dbfs": -60.0}, "low_level", "very soft, and words may be missing"),
        *(
            (unheard(why), "unheard_track", "Audio track 1 was not heard")
            for why in (
                *("language", "commentary", "no_speech", "too_many"),
                *("stream", "copy_so_far", "unreadable"),
            )
        ),
    ],
)
def test_each_finding_is_one_warning(report, code, said):
    (warning,) = transcript_warnings(report)
    assert warning.code == code
    assert said in warning.detail
    assert set(warning.as_json()) == {"code", "detail"}


@pytest.mark.parametrize(
    "report",
    [
        {},
        DecodeReport(peak=0.5, samples=16_000).as_json(),
        {"filled_ms": 900, "format_changes": 1, "parts": 2},
        SOFT | {"raised_ms": 3000, "peak_dbfs": -6.0},
        *(unheard(why) for why in ("copy", "silent", "chosen")),
    ],
)
def test_a_clean_file_has_none(report):
    assert transcript_warnings(report) == []


def test_no_words_are_missing_of_a_soft_recording_in_which_nobody_speaks():
    (warning,) = transcript_warnings(SOFT, wordless=True)
    assert "no words were found in it. If somebody speaks there, record closer" in warning.detail
    assert "missing" not in warning.detail


def test_a_gap_says_where():
    (warning,) = transcript_warnings({}, [{"start_ms": 5, "end_ms": 9, "chunk": 1, "reason": "missing"}])
    assert (warning.code, warning.as_json()["start_ms"], warning.as_json()["end_ms"]) == ("gap", 5, 9)


def test_the_tracks_that_were_heard_are_named():
    assert heard_tracks({"audio_tracks": {"count": 3, "heard": [0, 2]}}) == (
        "Heard: audio tracks 0 and 2 of 3, counted from 0."
    )
    assert heard_tracks({}) == ""


def test_the_table_in_the_documents_has_every_code():
    page = (Path(__file__).parents[2] / "docs" / "warnings.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(SENTENCES)
