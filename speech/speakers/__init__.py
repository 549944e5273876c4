"""Who speaks when: hear each window by itself (`load_hearing`), then tell all speakers apart in one go
(`tell_apart`), and give their words to them (`assign`).
"""

from speech.speakers.channels import ChannelListener, people_on_channels
from speech.speakers.finish.tell import tell_apart, with_voices
from speech.speakers.hearing.window import load_hearing
from speech.speakers.profiles import LEAST_NAMED_S, LEAST_SAVED_S, Suggestion, match
from speech.speakers.types import Count, HeardWindow, Hearing, Said, Speakers, Turn, Voice, label_of
from speech.speakers.words import assign

__all__ = [
    "LEAST_NAMED_S",
    "LEAST_SAVED_S",
    "ChannelListener",
    "Count",
    "HeardWindow",
    "Hearing",
    "Said",
    "Speakers",
    "Suggestion",
    "Turn",
    "Voice",
    "assign",
    "label_of",
    "load_hearing",
    "match",
    "people_on_channels",
    "tell_apart",
    "with_voices",
]
