"""Whether text that was decoded without word times can be believed.

To make them takes about a tenth of the time of a short request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from speech.engines.hints import too_fast
from speech.engines.local.segments import REPEATED_NO_SPEECH_PROB, plain_segment
from speech.engines.local.speech_parts import speech_ms_in
from speech.text.spacing import is_unspaced
from speech.types import Span

SLOWEST_LETTER_MS = 150
SLOWEST_CHARACTER_MS = 300
"""Who speaks slowly takes this long for a letter, or for a character of a script without spaces."""
UNHEARD_MS = 400
"""Where more speech than this is without text, the words show where."""


def needs_words(parts: Sequence[Any], span: Span, speech: Sequence[Span]) -> bool:
    """Return whether only the times and probabilities of words can show what is wrong with segments that were
    decoded without them: whether speech was skipped, or text invented.
    """
    at_ms = span.start_ms
    for part in parts:
        if part.no_speech_prob > REPEATED_NO_SPEECH_PROB or too_fast(plain_segment(part)):
            return True
        start_ms, end_ms = round(part.start * 1000), round(part.end * 1000)
        slowest_ms = sum(
            (SLOWEST_CHARACTER_MS if is_unspaced(char) else SLOWEST_LETTER_MS)
            for char in part.text
            if char.isalnum()
        )
        # Speech may have been skipped before the segment or in it.
        inside_ms = speech_ms_in(speech, Span(start_ms, end_ms)) - slowest_ms
        if max(speech_ms_in(speech, Span(at_ms, start_ms)), inside_ms) > UNHEARD_MS:
            return True
        at_ms = end_ms
    return not parts or speech_ms_in(speech, Span(at_ms, span.end_ms)) > UNHEARD_MS
