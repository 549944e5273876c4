"""Replacing what an engine writes wrongly, in a text and in its words with their times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from speech.cues import ends_sentence
from speech.phrases import ComparedText, compared_form
from speech.types import SpeechSegment, Word

_OPENERS = "\"'([{\u2018\u201c\u201e\u00ab\u00bf\u00a1\u3008\u300a\u300c\u300e\u3010\uff08"
_CLOSERS = "\"')]}\u2019\u201d\u00bb\u3009\u300b\u300d\u300f\u3011\uff09"
_CLAUSE_ENDS = ",;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a"


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is found and what is written instead; an empty `to_text` removes it.

    `from_text` is a word or a phrase. It matches with any width of white space and, unless `match_case`, in
    any case. `whole_word`: not as a part of a word, by the rules of `speech.words`.

    Raises:
        ValueError: `from_text` is blank.
    """

    from_text: str
    to_text: str
    whole_word: bool = True
    match_case: bool = False

    def __post_init__(self) -> None:
        if not self.from_text.strip():
            raise ValueError("a replacement needs a text to look for")

    def written(self, found: str) -> str:
        """What replaces `found`: as given, but "Colour" becomes "Color" where "colour" becomes "color"."""
        # Capitals inside are somebody's choice: "I phone" becomes "iPhone", not "IPhone".
        if not self.match_case and self.to_text == self.to_text.lower() and _begins_with_capital(found):
            return _capitalised(self.to_text)
        return self.to_text


@dataclass(slots=True)
class _Edit:
    """Of `text[start:end]`. `lead`: it took away the capital that a sentence began with."""

    start: int
    end: int
    text: str
    lead: bool = False


class Corrector:
    """Replaces in one pass, from left to right, the longest first; never in what it has written."""

    def __init__(self, replacements: Iterable[Replacement]) -> None:
        forms = [(compared_form(r.from_text, match_case=r.match_case), r) for r in replacements]
        # Of two that are the same but for case, the one that minds it is meant.
        self._rules = sorted(forms, key=lambda rule: (-len(rule[0]), not rule[1].match_case))
        self._views = {rule.match_case for _, rule in forms} | {False}

    def correct_text(self, text: str) -> str:
        return _spliced(text, self._edits(text), 0, len(text))

    def correct(self, segment: SpeechSegment) -> SpeechSegment:
        """The segment with its text and words corrected; the same object where nothing is to correct.

        The words that replace a run of words share its time: each keeps its own where they are as many, else
        evenly by characters, with the least confidence of the run. Punctuation around them stays.
        """
        edits = self._edits(segment.text)
        spans = _spans(segment.text, segment.words)
        if spans is not None:
            words = _corrected_words(segment.text, segment.words, spans, edits)
        else:
            # An engine whose words are not those of its text, most often without its punctuation.
            spoken = " ".join(word.text for word in segment.words)
            spans = _spans(spoken, segment.words) or []
            words = _corrected_words(spoken, segment.words, spans, self._edits(spoken))
        if not edits and words == segment.words:
            return segment
        return replace(segment, text=_spliced(segment.text, edits, 0, len(segment.text)), words=words)

    def _edits(self, text: str) -> list[_Edit]:
        views = {match_case: ComparedText(text, match_case=match_case) for match_case in self._views}
        edits: list[_Edit] = []
        free = 0
        # Of hundreds of rules few have anything to do with a sentence.
        ahead = [(form, rule, (-1, -1)) for form, rule in self._rules if form in views[rule.match_case].text]
        while ahead:
            ahead = [
                (form, rule, span)
                for form, rule, before in ahead
                if (span := _next(views[rule.match_case], form, rule, before, free))
            ]
            if not ahead:
                break
            # The first of those at the same place: the rules are in order.
            _, rule, (start, end) = min(ahead, key=lambda found: found[2][0])
            if written := rule.written(text[start:end]):
                edits.append(_Edit(start, end, written))
            else:
                _remove(text, start, end, edits)
            free = edits[-1].end
        return _with_capitals(text, edits)


def _next(
    view: ComparedText, form: str, rule: Replacement, span: tuple[int, int], free: int
) -> tuple[int, int] | None:
    """Where the rule applies from `free` on: at `span`, or further on."""
    return span if span[0] >= free else view.find(form, free, whole_word=rule.whole_word)


def _remove(text: str, start: int, end: int, edits: list[_Edit]) -> None:
    """Add the edit that removes `text[start:end]`, with the punctuation and space that only it needed."""
    lead = _begins_with_capital(text[start:end])
    if edits and edits[-1].end == start and not edits[-1].text:
        # Two in a row are removed as one.
        before = edits.pop()
        start, lead = before.start, before.lead or lead
    floor = edits[-1].end if edits else 0
    while start > floor and end < len(text) and text[start - 1] in _OPENERS and text[end] in _CLOSERS:
        start, end = start - 1, end + 1
    if start > floor and not text[start - 1].isspace() and text[start - 1] not in _OPENERS:
        # A part of a word, or of a script without spaces.
        edits.append(_Edit(start, end, ""))
        return
    left = text[:start].rstrip(f"{_OPENERS} \n\t\u3000")
    begins = not left or ends_sentence(left)
    end = _past(text, end, _CLAUSE_ENDS)
    if begins:
        while end < len(text) and ends_sentence(text[end]):
            end += 1
    if end < len(text) and text[end].isspace():
        while end < len(text) and text[end].isspace():
            end += 1
    else:
        while start > floor and text[start - 1].isspace():
            start -= 1
        while start > floor and ends_sentence(text[end : end + 1]) and text[start - 1] in _CLAUSE_ENDS:
            start -= 1
    edits.append(_Edit(start, end, "", lead and begins))


def _past(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _with_capitals(text: str, edits: Sequence[_Edit]) -> list[_Edit]:
    """The edits, and a capital for what now begins a sentence: "Um, so" becomes "So"."""
    result: list[_Edit] = []
    for edit in edits:
        if result and result[-1].lead and result[-1].end == edit.start and not edit.lead:
            edit.text = _capitalised(edit.text)
        elif result and result[-1].lead and result[-1].end < edit.start:
            result += _capital(text, result[-1].end)
        result.append(edit)
    if result and result[-1].lead:
        result += _capital(text, result[-1].end)
    return result


def _capital(text: str, at: int) -> list[_Edit]:
    if text[at : at + 1].islower() and not text[at + 1 : at + 2].isupper():
        return [_Edit(at, at + 1, _capitalised(text[at]))]
    return []


def _capitalised(text: str) -> str:
    return text[:1].title() + text[1:]


def _begins_with_capital(text: str) -> bool:
    return text[:1] != text[:1].lower()


def _spliced(text: str, edits: Iterable[_Edit], start: int, end: int) -> str:
    """`text[start:end]` after the edits."""
    parts = []
    for edit in edits:
        parts += [text[start : edit.start], edit.text]
        start = edit.end
    return "".join([*parts, text[start:end]])


def _spans(text: str, words: Sequence[Word]) -> list[tuple[int, int]] | None:
    """Where each word stands in the text; None where they are not its words."""
    spans = []
    at = 0
    for word in words:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith(word.text, at):
            return None
        spans.append((at, at + len(word.text)))
        at += len(word.text)
    return None if text[at:].strip() else spans


def _corrected_words(
    text: str, words: tuple[Word, ...], spans: Sequence[tuple[int, int]], edits: Sequence[_Edit]
) -> tuple[Word, ...]:
    result: list[Word] = []
    first = n = 0
    while first < len(words):
        start, end = spans[first]
        last, n_before = first, n
        while n < len(edits) and (edits[n].start < end or _joins(text, edits[n], end)):
            while last + 1 < len(words) and spans[last + 1][0] < edits[n].end:
                last += 1
            end = spans[last][1]
            n += 1
        run = words[first : last + 1]
        if n > n_before:
            result += _shared(run, _spliced(text, edits[n_before:n], start, end).split())
        else:
            result += run
        first = last + 1
    return tuple(result)


def _joins(text: str, edit: _Edit, end: int) -> bool:
    """Whether the edit puts what is left of a removed word to the one before, which stands until `end`."""
    rest = text[edit.end : edit.end + 1]
    return edit.start == end and text[end].isspace() and bool(rest.strip())


def _shared(run: Sequence[Word], texts: Sequence[str]) -> list[Word]:
    if len(texts) == len(run):
        return [replace(word, text=text) for word, text in zip(run, texts, strict=True)]
    start_ms = run[0].start_ms
    duration_ms = max(0, run[-1].end_ms - start_ms)
    confidence = min((w.confidence for w in run if w.confidence is not None), default=None)
    total = sum(map(len, texts))
    words = []
    done = 0
    for text in texts:
        begin_ms = start_ms + duration_ms * done // total
        done += len(text)
        words.append(Word(begin_ms, start_ms + duration_ms * done // total, text, confidence))
    return words
