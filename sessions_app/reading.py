"""A transcript as it is read: paragraphs of segments, each with the times of its words."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

from jobs_app.gaps import gap_segments
from jobs_app.models import SegmentKind, TranscriptionJob
from speech.captions import PARAGRAPH_PAUSE_MS
from speech.cues import ends_sentence, join_texts

# Shorter than in a text file: a time stands beside each.
PARAGRAPH_CHARACTERS = 350


@dataclass(slots=True)
class Sentence:
    """`words` has "start_ms:length" for each word, the length in characters; see static/player.js.

    Empty where they are not the text's words, or the engine gives none.
    """

    start_ms: int
    end_ms: int
    text: str
    words: str
    space: str


@dataclass(slots=True)
class Paragraph:
    """`speaker` is empty where it is the one of the paragraph before. `gap`: why there is nothing to read."""

    start_ms: int
    speaker: str
    sentences: list[Sentence] = field(default_factory=list)
    gap: str = ""


def paragraphs(job: TranscriptionJob) -> list[Paragraph]:
    """What is transcribed so far, in the order of time."""
    rows = (
        job.segments.filter(kind=SegmentKind.FINAL)
        .order_by("start_ms", "number", "pk")
        # Model instances would cost as much as the rest of the page.
        .values_list("start_ms", "end_ms", "text", "speaker", "words")
    )
    gaps = [Paragraph(gap.start_ms, "", gap=gap.text) for gap in gap_segments(job)]
    spoken = _grouped(rows.iterator(chunk_size=2000), [gap.start_ms for gap in gaps])
    return list(merge(spoken, gaps, key=lambda p: p.start_ms))


def _grouped(
    rows: Iterable[tuple[int, int, str, str, list[dict[str, Any]]]], gaps_ms: Sequence[int]
) -> Iterator[Paragraph]:
    """`gaps_ms`: where gaps begin, in order; no paragraph goes on over one."""
    paragraph: Paragraph | None = None
    last_end_ms, last_speaker, last_text, characters = 0, "", "", 0
    for start_ms, end_ms, given, speaker, words in rows:
        text = " ".join(given.split())
        if not text:
            continue
        full = characters >= PARAGRAPH_CHARACTERS and ends_sentence(last_text)
        if (
            paragraph is None
            or speaker != last_speaker
            or start_ms - last_end_ms >= PARAGRAPH_PAUSE_MS
            or full
            or bisect(gaps_ms, start_ms) > bisect(gaps_ms, paragraph.start_ms)
        ):
            if paragraph is not None:
                yield paragraph
            paragraph = Paragraph(start_ms, speaker if speaker != last_speaker else "")
            last_text, characters = "", 0
        space = " " if last_text and " " in join_texts([last_text[-1], text[0]]) else ""
        paragraph.sentences.append(Sentence(start_ms, end_ms, text, _word_times(text, words), space))
        characters += len(text)
        last_end_ms, last_speaker, last_text = end_ms, speaker, text
    if paragraph is not None:
        yield paragraph


def _word_times(text: str, words: list[dict[str, Any]]) -> str:
    spoken = ["".join(w["word"].split()) for w in words]
    if "".join(spoken) != text.replace(" ", ""):
        return ""
    return " ".join(f"{w['start_ms']}:{len(s)}" for w, s in zip(words, spoken, strict=True) if s)
