"""Replace what an engine writes wrongly, in a text and in its words with their times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from speech.text.phrases import ComparedText, compared_form
from speech.text.sentences import ends_sentence
from speech.types import SpeechSegment, Word

_OPENERS = "\"'([{\u2018\u201c\u201e\u00ab\u00bf\u00a1\u3008\u300a\u300c\u300e\u3010\uff08"
_CLOSERS = "\"')]}\u2019\u201d\u00bb\u3009\u300b\u300d\u300f\u3011\uff09"
_CLAUSE_ENDS = ",;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a"


@dataclass(frozen=True, slots=True)
class Replacement:
    """One rule: `from_text` is found and `to_text` is written instead. An empty `to_text` removes what was
    found.

    `from_text` is a word or a phrase. It matches any width of white space and, unless `match_case`, any case.
    With `whole_word` it does not match a part of a word, as `speech.text.words` defines words.

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
        """Return what replaces `found`: `to_text` as given, but "Color" for "Colour" if the rule is "colour"
        to "color".
        """
        # Capitals inside `to_text` are a choice: "I phone" becomes "iPhone", not "IPhone".
        if not self.match_case and self.to_text == self.to_text.lower() and _begins_with_capital(found):
            return _capitalised(self.to_text)
        return self.to_text


@dataclass(slots=True)
class _Edit:
    """A change of `text[start:end]`. `lead` says that it removed the capital with which a sentence began."""

    start: int
    end: int
    text: str
    lead: bool = False


class Corrector:
    """Replaces in one pass, from left to right, the longest rule first.

    It never replaces in what it has written.
    """

    def __init__(self, replacements: Iterable[Replacement]) -> None:
        forms = [(compared_form(r.from_text, match_case=r.match_case), r) for r in replacements]
        # Of two rules that differ only in case, the one with `match_case` comes first.
        self._rules = sorted(forms, key=lambda rule: (-len(rule[0]), not rule[1].match_case))
        self._views = {rule.match_case for _, rule in forms} | {False}

    def correct_text(self, text: str) -> str:
        """Return the corrected text."""
        return _spliced(text, self._edits(text), 0, len(text))

    def correct(self, segment: SpeechSegment) -> SpeechSegment:
        """Return the segment with its text and words corrected, or the same object if nothing is to correct.

        The new words share the time of the words that they replace. Each keeps its own time if there are as
        many; else the time is split evenly by characters, and all get the least confidence of the old words.
        Punctuation around them stays.
        """
        edits = self._edits(segment.text)
        spans = _spans(segment.text, segment.words)
        if spans is not None:
            words = _corrected_words(segment.text, segment.words, spans, edits)
        else:
            # The words of this engine are not those of its text. Most often they lack the punctuation.
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
        # Of hundreds of rules, few can match a given sentence. Only those are kept.
        ahead = [(form, rule, (-1, -1)) for form, rule in self._rules if form in views[rule.match_case].text]
        while ahead:
            ahead = [
                (form, rule, span)
                for form, rule, before in ahead
                if (span := _next(views[rule.match_case], form, rule, before, free))
            ]
            if not ahead:
                break
            # The rules are in order, so of several at the same place the first one counts.
            _, rule, (start, end) = min(ahead, key=lambda found: found[2][0])
            if written := rule.written(text[start:end]):
                edits.append(_Edit(start, end, written))
            else:
                _remove(text, start, end, edits)
            free = edits[-1].end
        return _with_capitals(text, edits)


def timed_words(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words, with times, of a text that a person wrote in place of the recognised `words`.

    A word that is in both keeps its time. Words that replace others share the time of those, and added words
    share the pause where they stand. Without `words` no time is known, and the result is empty.
    """
    if not words:
        return ()
    written = text.split()
    compared = SequenceMatcher(None, [word.text for word in words], written, autojunk=False)
    result: list[Word] = []
    for change, first, last, begin, end in compared.get_opcodes():
        if change == "equal":
            result += words[first:last]
        elif begin < end:
            # The engine's confidence means nothing for what a person wrote.
            run = [replace(word, confidence=None) for word in words[first:last]]
            run = run or [_pause_before(words, first)]
            result += _shared(run, written[begin:end])
    return tuple(result)


def _pause_before(words: Sequence[Word], at: int) -> Word:
    start_ms = words[at - 1].end_ms if at else words[0].start_ms
    end_ms = words[at].start_ms if at < len(words) else start_ms
    return Word(start_ms, max(start_ms, end_ms), "")


def _next(
    view: ComparedText, form: str, rule: Replacement, span: tuple[int, int], free: int
) -> tuple[int, int] | None:
    """Return where the rule applies from `free` on: at `span`, or after it."""
    return span if span[0] >= free else view.find(form, free, whole_word=rule.whole_word)


def _remove(text: str, start: int, end: int, edits: list[_Edit]) -> None:
    """Add the edit that removes `text[start:end]`, with the punctuation and space that only it needed."""
    lead = _begins_with_capital(text[start:end])
    if edits and edits[-1].end == start and not edits[-1].text:
        # Two removals in a row become one.
        before = edits.pop()
        start, lead = before.start, before.lead or lead
    floor = edits[-1].end if edits else 0
    while start > floor and end < len(text) and text[start - 1] in _OPENERS and text[end] in _CLOSERS:
        start, end = start - 1, end + 1
    if start > floor and not text[start - 1].isspace() and text[start - 1] not in _OPENERS:
        # It is a part of a word, or in a script without spaces.
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
    """Return the edits, and a capital for a word that now begins a sentence: "Um, so" becomes "So"."""
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
    """Return `text[start:end]` after the edits."""
    parts = []
    for edit in edits:
        parts += [text[start : edit.start], edit.text]
        start = edit.end
    return "".join([*parts, text[start:end]])


def _spans(text: str, words: Sequence[Word]) -> list[tuple[int, int]] | None:
    """Return where each word stands in the text; None if they are not the words of the text."""
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
    """Whether the edit joins the rest of a removed word to the word before it, which ends at `end`."""
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
