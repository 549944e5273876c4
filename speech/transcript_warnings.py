"""Warnings about what a transcript may lack, with what to do about it.

They are made from what decoding found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SENTENCES = {
    "damaged": "{places} skipped{filled}. What was said there is missing. If you have a better copy of this "
    "file, upload that.",
    "cut_off": "The file is cut off: {missing} not there. If it was still being copied or sent, upload it "
    "again when it is complete.",
    "dropped_time": "{length} of sound that the file has a second time, by its own clock, were left out. "
    "If something is missing, convert the file to WAV or FLAC and upload that.",
    "unheard_track": "{tracks} not heard: {why}. {remedy}",
    "unread_end": "{length} at the end of the file could not be read. There may be speech in them: convert "
    "the file to WAV or FLAC, or upload its parts one by one.",
    "clock_jump": "The clock of the recording jumps {times}. All of it is heard, but times after that may "
    "differ from those of a player. To have them alike, convert the file to WAV or FLAC.",
    "low_level": "The recording is very soft{raised}, and {lacks} closer to the microphone, or raise its "
    "level.",
    "speakers_failed": "The speakers could not be told apart, so nobody is named. Have that done once more "
    "on the page of the transcript, or by its number of speakers in the API.",
    "speakers_unsure": "The voices are hard to tell apart here, so many names may be wrong. If you know how "
    "many people speak, say so. The next time, a microphone nearer to each helps most.",
    "translation_failed": "The text could not be translated, so it is here as it was said. Transcribe it "
    "again with a translation; if that fails as well, tell the people who run this server.",
    "partly_translated": "{segments} could not be translated. The text there is as it was said.",
    "already_in_language": "All of it was said in the language that it was to be translated into, so "
    "nothing was translated. If it was said in another one, choose that as its language.",
    "gap": "{what}, so what was said there is missing. {remedy}",
}
"""Every warning code with its sentence."""

_LISTENED = "If somebody speaks there, transcribe again with this number as `audio_track`, or with `all`."
_WHY_UNHEARD = {
    "language": (
        "the language is another one than that of the others",
        "To hear it, transcribe again with its number as `audio_track`, or with its `language`.",
    ),
    "commentary": (
        "it is labelled as a commentary or a description",
        "To hear it, transcribe again with its number as `audio_track`.",
    ),
    "no_speech": ("no speech was found in it", _LISTENED),
    "copy_so_far": ("it began as a copy of another", _LISTENED),
    "too_many": (
        "there are more than can be heard at once",
        "To hear it, transcribe again with its number as `audio_track`.",
    ),
    "stream": (
        "of a recording that comes in pieces one is heard",
        "To have it heard, upload the recording as one file.",
    ),
    "unreadable": (
        "it is coded in a way that cannot be read here",
        "Convert it to WAV, FLAC or AAC, and upload that.",
    ),
}
"""A track that was left out for another reason (not chosen, silent, a copy) lacks nothing, so there is no
warning.
"""

_RECORD = "If the device that recorded it still has it, upload it from there."
_GAPS = {
    "missing": ("This part of the recording did not arrive", _RECORD),
    "left_out": ("This part is more than a recording may have", "Upload it as a recording of its own."),
}
_UNREAD_GAP = ("This part of the recording could not be read", _RECORD)

# Voice activity begins to lose speech when the peak is below the first value. Below the second, a file has
# only dither and no sound.
_SOFT_DBFS, _NOTHING_DBFS = -42.0, -84.0


@dataclass(frozen=True, slots=True)
class TranscriptWarning:
    """One warning. `code` is a key of SENTENCES, and `detail` is a sentence for people that says what to do.

    The times are on the timeline of the recording. They are None if the warning is about all of it.
    """

    code: str
    detail: str
    start_ms: int | None = None
    end_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the warning as JSON values, without times that are None."""
        times = {"start_ms": self.start_ms, "end_ms": self.end_ms}
        return {
            "code": self.code,
            "detail": self.detail,
            **{name: ms for name, ms in times.items() if ms is not None},
        }


def transcript_warnings(
    report: Mapping[str, Any],
    gaps: Sequence[Mapping[str, Any]] = (),
    *,
    wordless: bool = False,
    speakers: str = "",
    translation: str = "",
    untranslated: int = 0,
) -> list[TranscriptWarning]:
    """Return warnings about what a transcript may lack; an empty list if all of the recording was heard well.

    `report` is `DecodeReport.as_json()` or a part of it. Each of the `gaps` has `start_ms`, `end_ms` and a
    `reason` (missing, damaged, unreadable, left_out). `wordless` says that all of the recording was heard and
    no word was found. `speakers` is `failed` if speakers could not be told apart, and `unsure` if they may
    well be wrong. `translation` is `failed`, `partly` where it lacks `untranslated` segments, or `same` if
    there was nothing to translate.
    """
    report = {
        **report,
        "wordless": wordless,
        "speakers": speakers,
        "translation": translation,
        "untranslated": untranslated,
    }
    found = [
        TranscriptWarning(code, SENTENCES[code].format(**words))
        for code, look in _LOOKS.items()
        for words in look(report)
    ]
    for gap in sorted(gaps, key=lambda gap: int(gap["start_ms"])):
        what, remedy = _GAPS.get(gap["reason"], _UNREAD_GAP)
        detail = SENTENCES["gap"].format(what=what, remedy=remedy)
        found.append(TranscriptWarning("gap", detail, gap["start_ms"], gap["end_ms"]))
    return found


def heard_tracks(report: Mapping[str, Any]) -> str:
    """Return a sentence that says which audio tracks were heard; an empty string for a file with one
    track.
    """
    tracks = report.get("audio_tracks") or {}
    if tracks.get("count", 0) < 2 or not tracks.get("heard"):
        return ""
    heard = tracks["heard"]
    return f"Heard: {_tracks(heard).lower()} of {tracks['count']}, counted from 0."


Words = Iterator[dict[str, str]]


def _damaged(report: Mapping[str, Any]) -> Words:
    if places := _number(report, "bad_packets") + _number(report, "bad_reads"):
        filled_ms = _number(report, "filled_ms")
        yield {
            "places": "1 damaged place was" if places == 1 else f"{places:.0f} damaged places were",
            "filled": f", {_length(filled_ms)} filled with silence" if filled_ms else "",
        }


def _cut_off(report: Mapping[str, Any]) -> Words:
    if ms := _number(report, "cut_off_ms"):
        yield {"missing": f"about {_length(ms)} that it should have are"}
    elif report.get("cut_off"):
        yield {"missing": "its end is"}


def _length_in(name: str) -> Callable[[Mapping[str, Any]], Words]:
    def look(report: Mapping[str, Any]) -> Words:
        if ms := _number(report, name):
            yield {"length": _length(ms)}

    return look


def _unheard(report: Mapping[str, Any]) -> Words:
    numbers_of: dict[str, list[int]] = {}
    for one in (report.get("audio_tracks") or {}).get("unheard", ()):
        if one["why"] in _WHY_UNHEARD:
            numbers_of.setdefault(one["why"], []).append(one["track"])
    for reason, numbers in numbers_of.items():
        why, remedy = _WHY_UNHEARD[reason]
        verb = "was" if len(numbers) == 1 else "were"
        yield {"tracks": f"{_tracks(numbers)} {verb}", "why": why, "remedy": remedy}


def _unread_end(report: Mapping[str, Any]) -> Words:
    if count := _number(report, "unread_bytes"):
        yield {"length": f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count:.0f} bytes"}


def _clock_jump(report: Mapping[str, Any]) -> Words:
    if jumps := _number(report, "clock_jumps"):
        yield {"times": "once" if jumps == 1 else f"{jumps:.0f} times"}


def _low_level(report: Mapping[str, Any]) -> Words:
    peak_dbfs = report.get("peak_dbfs")
    # A soft stretch in a loud recording is raised, too: a pause, or somebody far away. So more than half must
    # be raised before this warns.
    raised = _number(report, "raised_ms") > _number(report, "duration_ms") / 2
    if raised or (peak_dbfs is not None and _NOTHING_DBFS < peak_dbfs < _SOFT_DBFS):
        by_db = f"; it was made louder by up to {_number(report, 'raised_db'):.0f} dB" if raised else ""
        lacks = "words may be missing or wrong. Record"
        if report["wordless"]:
            lacks = "no words were found in it. If somebody speaks there, record"
        yield {"raised": by_db, "lacks": lacks}


def _speakers_are(state: str) -> Callable[[Mapping[str, Any]], Words]:
    def look(report: Mapping[str, Any]) -> Words:
        if report["speakers"] == state:
            yield {}

    return look


def _translation_is(state: str) -> Callable[[Mapping[str, Any]], Words]:
    def look(report: Mapping[str, Any]) -> Words:
        if report["translation"] == state:
            n = report["untranslated"]
            yield {"segments": "1 segment" if n == 1 else f"{n} segments"}

    return look


_LOOKS: dict[str, Callable[[Mapping[str, Any]], Words]] = {
    "damaged": _damaged,
    "cut_off": _cut_off,
    "dropped_time": _length_in("dropped_ms"),
    "unheard_track": _unheard,
    "unread_end": _unread_end,
    "clock_jump": _clock_jump,
    "low_level": _low_level,
    "speakers_failed": _speakers_are("failed"),
    "speakers_unsure": _speakers_are("unsure"),
    "translation_failed": _translation_is("failed"),
    "partly_translated": _translation_is("partly"),
    "already_in_language": _translation_is("same"),
}


def _number(report: Mapping[str, Any], name: str) -> float:
    return report.get(name) or 0


def _tracks(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"Audio tracks {', '.join(others)} and {last}" if others else f"Audio track {last}"


def _length(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.0f} min"
