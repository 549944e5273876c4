"""A transcript as text, as captions (SubRip, WebVTT) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speech.cues import ends_sentence, join_texts, make_cues
from speech.types import SpeechSegment
from speech.words import count_words

PARAGRAPH_PAUSE_MS = 2_000
PARAGRAPH_CHARACTERS = 600
"""A paragraph this long ends with the next segment that ends a sentence."""


def to_txt(segments: Sequence[SpeechSegment]) -> str:
    """Plain text in paragraphs: a new one after a pause or with another speaker, whose name begins it."""
    paragraphs: list[list[str]] = []
    last: SpeechSegment | None = None
    for segment in segments:
        if not segment.text.strip():
            continue
        if last is None or segment.speaker != last.speaker:
            name = " ".join(segment.speaker.split())
            paragraphs.append([f"{name}:"] if name else [])
        elif segment.start_ms - last.end_ms >= PARAGRAPH_PAUSE_MS or _is_full(paragraphs[-1]):
            paragraphs.append([])
        paragraphs[-1].append(segment.text)
        last = segment
    return "\n".join(f"{join_texts(paragraph)}\n" for paragraph in paragraphs)


def to_srt(segments: Sequence[SpeechSegment]) -> str:
    """SubRip. A change of speaker begins with "Name: "."""
    return "\n".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(make_cues(segments, label_speakers=True), start=1)
    )


def to_vtt(segments: Sequence[SpeechSegment]) -> str:
    """WebVTT. Speakers are voice spans, `<v Name>`."""
    blocks = ["WEBVTT\n"]
    for cue in make_cues(segments):
        voice = f"<v {_escape(cue.speaker)}>" if cue.speaker else ""
        text = voice + _escape("\n".join(cue.lines))
        blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_json(segments: Sequence[SpeechSegment]) -> str:
    """The same shape as `transcript_dict`, for a transcript that stands in no database: ids are numbers."""
    transcript = transcript_dict(
        id="",
        segments=[(str(number), segment) for number, segment in enumerate(segments)],
        language="",
        duration_ms=max((segment.end_ms for segment in segments), default=0),
        speakers={segment.speaker: "" for segment in segments if segment.speaker},
        word_counts=count_words(join_texts([segment.text for segment in segments])),
    )
    return json.dumps(transcript, ensure_ascii=False, indent=2) + "\n"


def transcript_dict(
    *,
    id: str,
    segments: Sequence[tuple[str, SpeechSegment]],
    language: str,
    duration_ms: int,
    speakers: Mapping[str, str],
    word_counts: Mapping[str, int],
) -> dict[str, Any]:
    """The transcript as JSON values, as the API answers it.

    `segments` are (id, segment) in time order; `speakers` maps each label to the name people gave it, or "".
    """
    return {
        "id": id,
        "text": join_texts([segment.text for _, segment in segments]),
        "language": language,
        "duration_ms": duration_ms,
        "speakers": [{"label": label, "name": name} for label, name in speakers.items()],
        "segments": [_segment_dict(segment_id, segment) for segment_id, segment in segments],
        "word_counts": dict(word_counts),
    }


@dataclass(frozen=True, slots=True)
class Format:
    """How a transcript is written, and what it is called over HTTP."""

    content_type: str
    render: Callable[[Sequence[SpeechSegment]], str]


FORMATS = {
    "txt": Format("text/plain; charset=utf-8", to_txt),
    "srt": Format("application/x-subrip; charset=utf-8", to_srt),
    "vtt": Format("text/vtt; charset=utf-8", to_vtt),
    "json": Format("application/json", to_json),
}


def _is_full(paragraph: Sequence[str]) -> bool:
    return sum(map(len, paragraph)) >= PARAGRAPH_CHARACTERS and ends_sentence(paragraph[-1].rstrip())


def _clock(ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _escape(text: str) -> str:
    """For WebVTT, in which `<` begins a tag and `-->` a cue."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _segment_dict(segment_id: str, segment: SpeechSegment) -> dict[str, Any]:
    return {
        "id": segment_id,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "text": segment.text,
        "speaker": segment.speaker,
        "confidence": _probability(segment.confidence),
        "words": [
            {
                "start_ms": word.start_ms,
                "end_ms": word.end_ms,
                "word": word.text,
                "confidence": _probability(word.confidence),
            }
            for word in segment.words
        ],
    }


def _probability(value: float | None) -> float | None:
    """A plain float: engines give numpy's, which JSON refuses."""
    return None if value is None else round(float(value), 4)
