"""Who speaks when: hear each window by itself (`load_hearing`), then tell all speakers apart in one go
(`tell_apart`), and give their words to them (`assign`).
"""

from speech.speakers.channels import ChannelListener, people_on_channels
from speech.speakers.finish.tell import tell_apart, with_voices
from speech.speakers.hearing.window import load_hearing
from speech.speakers.profiles import Suggestion, suggest
from speech.speakers.types import Count, HeardWindow, Hearing, Said, Speakers, Turn, Voice, label_of
from speech.speakers.words import assign

__all__ = [
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
    "people_on_channels",
    "suggest",
    "tell_apart",
    "with_voices",
]
