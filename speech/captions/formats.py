"""Write a transcript as text, as captions (SubRip, WebVTT) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from speech.captions.bilingual import make_bilingual_cues
from speech.captions.cues import make_cues
from speech.text.sentences import ends_sentence
from speech.text.spacing import join_texts
from speech.text.words import count_words
from speech.types import SpeechSegment

PARAGRAPH_PAUSE_MS = 2_000
PARAGRAPH_CHARACTERS = 600
"""A paragraph of this length ends with the next segment that ends a sentence."""


def to_txt(segments: Iterable[SpeechSegment], *, bilingual: bool = False) -> str:
    """Return plain text in paragraphs.

    A pause or another speaker begins a new one, a speaker with the name. If it is `bilingual`, the line below
    a translated paragraph has what was said.
    """
    paragraphs: list[list[str]] = []
    originals: list[list[str]] = []
    translated = set()
    last: SpeechSegment | None = None
    for segment in segments:
        if not segment.text.strip():
            continue
        if last is None or segment.speaker != last.speaker:
            name = " ".join(segment.speaker.split())
            paragraphs.append([f"{name}:"] if name else [])
            originals.append([])
        elif segment.start_ms - last.end_ms >= PARAGRAPH_PAUSE_MS or _is_full(paragraphs[-1]):
            paragraphs.append([])
            originals.append([])
        paragraphs[-1].append(segment.text)
        originals[-1].append(segment.original or segment.text)
        if segment.original:
            translated.add(len(paragraphs) - 1)
        last = segment
    return "\n".join(
        f"{join_texts(paragraph)}\n"
        + (f"{join_texts(originals[at])}\n" if bilingual and at in translated else "")
        for at, paragraph in enumerate(paragraphs)
    )


def to_srt(segments: Iterable[SpeechSegment], *, bilingual: bool = False) -> str:
    """Return SubRip. A caption in which another speaker begins starts with "Name: ".

    If it is `bilingual`, what was said is below the translation in the same caption.
    """
    make = make_bilingual_cues if bilingual else make_cues
    return "\n".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(make(segments, label_speakers=True), start=1)
    )


def to_vtt(segments: Iterable[SpeechSegment], *, bilingual: bool = False) -> str:
    """Return WebVTT. Speakers are voice spans, `<v Name>`. `bilingual` is as in SubRip."""
    blocks = ["WEBVTT\n"]
    for cue in make_bilingual_cues(segments) if bilingual else make_cues(segments):
        voice = f"<v {_escape(cue.speaker)}>" if cue.speaker else ""
        text = voice + _escape("\n".join(cue.lines))
        blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_json(segments: Sequence[SpeechSegment]) -> str:
    """Return JSON as `transcript_dict` has it, for a transcript that is in no database: the ids are
    numbers.
    """
    transcript = transcript_dict(
        id="",
        segments=[(str(number), segment) for number, segment in enumerate(segments)],
        language="",
        duration_ms=max((segment.end_ms for segment in segments), default=0),
        names={},
        word_counts=count_words(join_texts([segment.text for segment in segments])),
    )
    return json.dumps(transcript, ensure_ascii=False, indent=2) + "\n"


def transcript_dict(
    *,
    id: str,
    segments: Iterable[tuple[str, SpeechSegment]],
    language: str,
    duration_ms: int,
    names: Mapping[str, str],
    word_counts: Mapping[str, int],
) -> dict[str, Any]:
    """Return the transcript as JSON values, as the API answers it.

    `segments` are (id, segment) in time order. `names` maps the label of a
    speaker to the name that people gave.
    """
    said = list(segments)
    shown = [_segment_dict(segment_id, segment) for segment_id, segment in said]
    originals = [segment.original or segment.text for _, segment in said]
    original = {"original_text": join_texts(originals)} if any(one.original for _, one in said) else {}
    labels = dict.fromkeys(segment["speaker"] for segment in shown if segment["speaker"])
    return {
        "id": id,
        "text": join_texts([segment["text"] for segment in shown]),
        **original,
        "language": language,
        "duration_ms": duration_ms,
        "speakers": [{"label": label, "name": names.get(label, "")} for label in labels],
        "segments": shown,
        "word_counts": dict(word_counts),
    }


FORMATS: dict[str, Callable[[Sequence[SpeechSegment]], str]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "json": to_json,
}


def _is_full(paragraph: Sequence[str]) -> bool:
    return sum(map(len, paragraph)) >= PARAGRAPH_CHARACTERS and ends_sentence(paragraph[-1].rstrip())


def _clock(ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _escape(text: str) -> str:
    """Escape a text for WebVTT, where `<` begins a tag and `-->` a cue."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _segment_dict(segment_id: str, segment: SpeechSegment) -> dict[str, Any]:
    return {
        "id": segment_id,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "text": segment.text,
        **({"original": segment.original} if segment.original else {}),
        "speaker": segment.speaker,
        "language": segment.language,
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
    """Return a plain float, because engines give numpy's floats, which JSON refuses."""
    return None if value is None else round(float(value), 4)
