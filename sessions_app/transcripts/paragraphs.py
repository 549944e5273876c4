"""Divide a transcript into paragraphs for pages, with the times of the words."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge

from sessions_app.transcripts.gaps import gap_segments
from sessions_app.transcripts.reading import Reading, ReadSegment, ReadSpeaker
from speech.captions.formats import PARAGRAPH_PAUSE_MS
from speech.text.sentences import ends_sentence
from speech.text.spacing import join_texts
from speech.types import Word

# Paragraphs are shorter here than in a text file, because pages show a time beside each.
PARAGRAPH_CHARACTERS = 350
COLOURS = 8
"""`static/transcripts/speakers.css` has as many."""


@dataclass(slots=True)
class Sentence:
    """A sentence of a paragraph.

    `words` has "start_ms:length" for each word, with the length in characters; static/transcripts/player.js
    reads it. It is empty if the engine gives no word times, or if the words do not match the text.
    """

    start_ms: int
    end_ms: int
    text: str
    words: str
    space: str


@dataclass(slots=True)
class Paragraph:
    """A paragraph, or a gap in its place.

    `speaker` is the name, and empty if the paragraph before has the same speaker. `colour` is from 1 to 8,
    and `label` that of the speaker, if it is one of those who were told apart. `gap` is empty, or a sentence
    that says why there is no text. `language` is empty if it is that of the transcript. `original` is what
    was said, if the sentences are a translation.
    """

    start_ms: int
    speaker: str
    language: str = ""
    sentences: list[Sentence] = field(default_factory=list)
    gap: str = ""
    label: str = ""
    colour: int = 0
    original: str = ""


def paragraphs(reading: Reading) -> list[Paragraph]:
    """Return the paragraphs and gaps of what is transcribed so far, in the order of time."""
    gaps = [Paragraph(gap.start_ms, "", gap=gap.text) for gap in gap_segments(reading.gaps)]
    who = {one.label: one for one in reading.speakers}
    spoken = _grouped(reading.segments(), [gap.start_ms for gap in gaps], who, reading.language)
    return list(merge(spoken, gaps, key=lambda p: p.start_ms))


def colour_of(speaker: ReadSpeaker) -> int:
    """Return which of the colours a speaker has, from 1."""
    return speaker.number % COLOURS + 1


def _grouped(
    segments: Iterable[ReadSegment],
    gaps_ms: Sequence[int],
    who: Mapping[str, ReadSpeaker],
    usual_language: str,
) -> Iterator[Paragraph]:
    """Group segments into paragraphs.

    `gaps_ms` are the starts of gaps, in order; each ends a paragraph, and so does another language. `who`
    has the speakers by their labels.
    """
    paragraph: Paragraph | None = None
    last_end_ms, last_speaker, last_text, characters = 0, "", "", 0
    for segment in segments:
        text = " ".join(segment.text.split())
        if not text:
            continue
        start_ms, speaker = segment.start_ms, segment.speaker
        language = segment.language if segment.language != usual_language else ""
        breaks = segment.break_before
        if breaks is None:
            full = characters >= PARAGRAPH_CHARACTERS and ends_sentence(last_text)
            breaks = full or start_ms - last_end_ms >= PARAGRAPH_PAUSE_MS
        if (
            paragraph is None
            or breaks
            or speaker != last_speaker
            or language != paragraph.language
            or bisect(gaps_ms, start_ms) > bisect(gaps_ms, paragraph.start_ms)
        ):
            if paragraph is not None:
                yield paragraph
            paragraph = Paragraph(start_ms, "", language)
            if speaker != last_speaker:
                _name(paragraph, speaker, who.get(speaker))
            last_text, characters = "", 0
        space = " " if last_text and " " in join_texts([last_text[-1], text[0]]) else ""
        words = _word_times(text, segment.words)
        if segment.original:
            paragraph.original = join_texts([paragraph.original, segment.original])
        paragraph.sentences.append(Sentence(start_ms, segment.end_ms, text, words, space))
        characters += len(text)
        last_end_ms, last_speaker, last_text = segment.end_ms, speaker, text
    if paragraph is not None:
        yield paragraph


def _name(paragraph: Paragraph, label: str, speaker: ReadSpeaker | None) -> None:
    """Let a paragraph begin with who speaks. Without `speaker`, the label is all that is known."""
    paragraph.speaker = label
    if speaker is not None:
        paragraph.speaker, paragraph.label = speaker.shown_name, speaker.label
        paragraph.colour = colour_of(speaker)


def _word_times(text: str, words: Sequence[Word]) -> str:
    spoken = ["".join(word.text.split()) for word in words]
    if "".join(spoken) != text.replace(" ", ""):
        return ""
    return " ".join(f"{word.start_ms}:{len(s)}" for word, s in zip(words, spoken, strict=True) if s)
