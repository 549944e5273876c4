"""Choose the audio tracks of a file that are heard, and the gain of each.

Recorders of calls and of screens write a track for each speaker; films have one for each language. Tags tell
these apart, and listening tells the rest. A track without speech is left out, so that it cannot hide another,
and so is a copy of a track that is heard.
"""

from __future__ import annotations

from collections.abc import Callable

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from speech.errors import UnreadableAudio
from speech.probing.probe import audio_tracks
from speech.sound.tracks.choice import Choice
from speech.sound.tracks.mixing import Blocks
from speech.sound.tracks.survey import TrackSurvey
from speech.sound.tracks.wish import ALL, AUTO, TrackWish, check_track_number
from speech.text.language_tags import language_code

_FOR_SOME = Disposition.comment | Disposition.visual_impaired | Disposition.descriptions
_COMMENTARY = ("comment", "descri", "kommentar", "visually impaired")


def choose_tracks(
    container: InputContainer, wish: TrackWish, listen: Callable[[int], Blocks], *, at_once: int
) -> Choice:
    """Return which tracks of an open file to hear, with their gains. `listen(number)` returns the sound of
    one.

    If tags do not decide, up to five minutes of up to `at_once` tracks are listened to. Raises NoSuchTrack,
    NoAudio, and UnreadableAudio if no decoder knows the track.
    """
    streams = list(container.streams.audio)
    choice = Choice(len(streams), [language_code(stream.language or "") for stream in streams])
    number_of = {stream.index: number for number, stream in enumerate(streams)}
    usable = [number_of[track.index] for track in audio_tracks(container)]
    check_track_number(wish.track, choice.count)
    if wish.track not in (AUTO, ALL):
        if int(wish.track) not in usable:
            raise UnreadableAudio(f"The audio track {wish.track} is coded in a way that cannot be read here.")
        choice.heard, choice.gains = [int(wish.track)], [1.0]
        choice.leave_out(set(range(choice.count)) - {int(wish.track)}, "chosen")
        return choice
    choice.leave_out(set(range(choice.count)) - set(usable), "unreadable")
    wanted = usable if wish.track == ALL else _by_tags(streams, usable, wish.language, choice)
    most = max(1, min(wish.most, at_once))
    choice.leave_out(wanted[most:], "too_many")
    wanted = wanted[:most]
    if len(wanted) == 1:
        choice.heard, choice.gains = wanted, [1.0]
        return choice
    survey = TrackSurvey(wanted, choice.languages, compare=wish.track == AUTO)
    survey.listen([listen(number) for number in wanted])
    choice.heard = wanted if wish.track == ALL else survey.worth_hearing(choice)
    choice.gains = survey.gains(choice.heard)
    choice.unheard.sort(key=lambda one: one.track)
    return choice


def _by_tags(streams: list[AudioStream], usable: list[int], language: str, choice: Choice) -> list[int]:
    """Return the tracks that may be meant, first the one that a player would choose."""
    labelled = [track for track in usable if language and choice.languages[track] == language]
    if labelled:
        choice.leave_out(set(usable) - set(labelled), "language")
    wanted = labelled or usable
    plain = [track for track in wanted if not _is_commentary(streams[track])]
    if plain:
        choice.leave_out(set(wanted) - set(plain), "commentary")
    return plain or wanted


def _is_commentary(stream: AudioStream) -> bool:
    title = stream.metadata.get("title", "").lower()
    return bool(stream.disposition & _FOR_SOME) or any(word in title for word in _COMMENTARY)
