"""Find the languages of a window: how likely each is in all of it, and where another one begins.

Whisper detects a language by one step of its decoder on the encoded half minute. If half a minute is in one
language, it is almost sure of it; if two are spoken, it is not, or the same step on some seconds of the
encoding finds the other one. Only then is each stretch of speech between two pauses encoded by itself, which
is reliable and takes time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from faster_whisper.audio import pad_or_trim

from speech.engines.local.model import Model, as_array, part_of, typed_failure
from speech.engines.local.short_context import short_context
from speech.engines.local.speech_parts import joined_samples, speech_ms_in, spoken_parts
from speech.languages.prior import LanguagePrior
from speech.languages.runs import Stretch, language_of_each
from speech.languages.vote import Vote, shares
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, ms_to_samples

FRAME_MS = 20
"""So long is a frame of the encoding."""
PAUSE_MS = 300
"""Between two languages, people pause at least this long."""
MARGIN_MS = 400
"""So much of the pauses belongs to a stretch: with its end cut off, Whisper takes it for anything."""
LOOKED_AT_MS = 4_000
"""In so much of an encoding, its language is mostly right."""
SUSPICIOUS = 0.6
"""A language of this probability in LOOKED_AT_MS may be spoken beside another one."""
ALONE = 0.9
"""A language of this probability is alone in its half minute, as a rule."""
SHORT_SAMPLES = 20 * SAMPLE_RATE
"""What is shorter is decoded on a short context if it is English. Other languages came out worse
(docs/decisions/0023-early-windows.md).
"""
LANGUAGE_SAMPLES = 3 * SAMPLE_RATE
CERTAIN_LANGUAGE = 0.8
"""On a short context, the language of less sound, or one of a lower probability, may be wrong."""
KEPT = 5
"""So many languages are kept of a window, the most probable ones; the others hardly count in a vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The languages of a window.

    `language` is that of most of its speech, with the probability `confidence`, in which `LanguagePrior`
    counts. `probabilities` has what was heard, without it; nothing if there is more than one language.
    `pieces` are the window's stretches with the language of each, if there is more than one. `certain` is
    whether the language needs no second look.
    """

    language: str
    confidence: float = 1.0
    probabilities: Mapping[str, float] = field(default_factory=dict)
    pieces: Sequence[tuple[Span, str]] = ()
    certain: bool = True


def find_languages(
    model: Model,
    samples: Samples,
    half_minutes: Sequence[Span],
    speech: Sequence[Span],
    prior: LanguagePrior,
    *,
    briefly: bool,
) -> Found:
    """Find the languages of a window in which somebody speaks.

    `half_minutes` are the parts of it that Whisper is to hear at once. With `briefly`, a short window is
    encoded on a short context if its language is clear there.

    Raises:
        EngineFailed: Whisper cannot be asked.
    """
    # What is likely beforehand must not hide a sentence in another language.
    possible = LanguagePrior(allowed=prior.allowed)
    votes: list[Vote] = []
    certain, several = False, False
    for span in half_minutes:
        parts = spoken_parts(speech, span)
        sound = joined_samples(samples, parts)
        brief = briefly and len(half_minutes) == 1 and LANGUAGE_SAMPLES <= len(sound) < SHORT_SAMPLES
        with typed_failure():
            encoded, heard = _encoded(model, sound, briefly=brief)
            certain = brief and max(possible.weigh(heard).values()) >= CERTAIN_LANGUAGE
            if brief and not certain:
                encoded, heard = _encoded(model, sound, briefly=False)
            several = several or _several_may_be_spoken(model, encoded, heard, parts, span, speech, possible)
        votes.append(Vote(speech_ms_in(speech, span), heard))
    if several:
        with typed_failure():
            stretches = [
                one
                for span in half_minutes
                for one in _stretches(model, samples, span, speech, briefly=briefly)
            ]
        languages = language_of_each([stretch for _, stretch in stretches], prior)
        if len(set(languages)) > 1:
            return _in_pieces(stretches, languages, prior, half_minutes)
    all_heard = shares(votes)
    language, confidence = next(iter(prior.weigh(all_heard).items()))
    return Found(
        language=language, confidence=confidence, probabilities=likeliest(all_heard), certain=certain
    )


def likeliest(heard: Mapping[str, float]) -> dict[str, float]:
    """Return the KEPT most probable languages."""
    kept = sorted(heard, key=lambda one: -heard[one])[:KEPT]
    return {one: round(heard[one], 4) for one in kept}


def _several_may_be_spoken(
    model: Model,
    encoded: Any,
    heard: Mapping[str, float],
    parts: Sequence[Span],
    half_minute: Span,
    speech: Sequence[Span],
    possible: LanguagePrior,
) -> bool:
    """Return whether a closer look at a half minute may find more than one language.

    The sound of `encoded` is made of `parts`, one after another.
    """
    spans = _between_pauses(speech, half_minute, least_ms=LOOKED_AT_MS)
    if len(_between_pauses(speech, half_minute)) == 1:
        return False
    language, probability = next(iter(possible.weigh(heard).items()))
    if probability < ALONE:
        return True
    frames = as_array(encoded)
    for span in spans if len(spans) > 1 else []:
        first, last = (_position_ms(parts, ms) // FRAME_MS for ms in (span.start_ms, span.end_ms))
        part = part_of(frames, first, last, model.model.n_mels)
        other, probability = next(iter(possible.weigh(_probabilities(model, part)).items()))
        if other != language and probability >= SUSPICIOUS:
            return True
    return False


def _in_pieces(
    stretches: Sequence[tuple[Span, Stretch]],
    languages: Sequence[str],
    prior: LanguagePrior,
    half_minutes: Sequence[Span],
) -> Found:
    """Return what was found in a window of several languages."""
    spoken: dict[str, list[Vote]] = {}
    for (_, stretch), language in zip(stretches, languages, strict=True):
        spoken.setdefault(language, []).append(Vote(stretch.speech_ms, stretch.probabilities))
    most = max(spoken, key=lambda one: sum(vote.speech_ms for vote in spoken[one]))
    pieces: list[tuple[Span, str]] = []
    for half_minute in half_minutes:
        inside = [
            (span, language)
            for (span, _), language in zip(stretches, languages, strict=True)
            if half_minute.start_ms <= span.start_ms < half_minute.end_ms
        ]
        runs = [
            (language, [span for span, _ in run]) for language, run in groupby(inside, lambda one: one[1])
        ]
        edges = [
            half_minute.start_ms,
            *((a[-1].end_ms + b[0].start_ms) // 2 for (_, a), (_, b) in pairwise(runs)),
            half_minute.end_ms,
        ]
        pieces += [(Span(*edge), language) for edge, (language, _) in zip(pairwise(edges), runs, strict=True)]
    return Found(language=most, confidence=prior.weigh(shares(spoken[most]))[most], pieces=pieces)


def _encoded(model: Model, sound: Samples, *, briefly: bool) -> tuple[Any, dict[str, float]]:
    """Return the encoding of up to half a minute, and the probabilities of its language."""
    features = pad_or_trim(model.feature_extractor(sound)[..., :-1])
    with short_context(model) if briefly else nullcontext():
        encoded = model.encode(features)
    return encoded, _probabilities(model, encoded)


def _stretches(
    model: Model, samples: Samples, half_minute: Span, speech: Sequence[Span], *, briefly: bool
) -> list[tuple[Span, Stretch]]:
    """Return the stretches of a half minute, each with the probabilities of its language."""
    found = []
    for span in _between_pauses(speech, half_minute):
        sound = samples[ms_to_samples(span.start_ms) : ms_to_samples(span.end_ms)]
        _, probabilities = _encoded(model, sound, briefly=briefly)
        found.append((span, Stretch(speech_ms_in(speech, span), probabilities)))
    return found


def _probabilities(model: Model, encoded: Any) -> dict[str, float]:
    """Return the probability of each language that Whisper knows."""
    return {token[2:-2]: float(probability) for token, probability in model.model.detect_language(encoded)[0]}


def _between_pauses(speech: Sequence[Span], within: Span, *, least_ms: int = 0) -> list[Span]:
    """Return the stretches of speech in `within` between pauses of PAUSE_MS, with some of the pauses.

    All but the last one are at least `least_ms` long.
    """
    found: list[Span] = []
    for one in speech:
        start_ms, end_ms = max(one.start_ms, within.start_ms), min(one.end_ms, within.end_ms)
        if start_ms >= end_ms:
            continue
        last = found[-1] if found else None
        if last and (start_ms - last.end_ms < PAUSE_MS or last.duration_ms < least_ms):
            found[-1] = Span(last.start_ms, end_ms)
        else:
            found.append(Span(start_ms, end_ms))
    edges = [
        within.start_ms,
        *((a.end_ms + b.start_ms) // 2 for a, b in pairwise(found)),
        within.end_ms,
    ]
    return [
        Span(max(start_ms, one.start_ms - MARGIN_MS), min(end_ms, one.end_ms + MARGIN_MS))
        for one, (start_ms, end_ms) in zip(found, pairwise(edges), strict=True)
    ]


def _position_ms(parts: Sequence[Span], at_ms: int) -> int:
    """Return where a moment of the window is in the sound that is made of `parts`."""
    return speech_ms_in(parts, Span(parts[0].start_ms, at_ms))
