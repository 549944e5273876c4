"""Calls with a person on each channel are told from everything else that has channels."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from speech.sound.decode import decode
from speech.speakers import ChannelListener, people_on_channels
from speech.types import SAMPLE_RATE, DecodeReport
from tests.services import ROOT
from tests.speech.der import diarization_errors, read_rttm
from tests.speech.sounds import Track, write_media


@pytest.fixture(scope="module")
def voice():
    samples, _ = soundfile.read(ROOT / "tests" / "audio" / "hello_5s.wav", dtype="float32")
    return samples


def told(*channels, block=SAMPLE_RATE):
    length = max(map(len, channels))
    sound = np.stack([np.pad(one, (0, length - len(one))) for one in channels]).astype(np.float32)
    listener = ChannelListener()
    for start in range(0, length, block):
        listener.feed(sound[:, start : start + block])
    return listener.finish()


def after(seconds, samples):
    return np.concatenate([np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32), samples])


def test_two_people_on_two_channels(voice):
    speakers = told(after(6, voice), voice)
    assert speakers.n == 2
    assert {turn.speaker for turn in speakers.turns if turn.end_ms <= 6000} == {0}
    assert {turn.speaker for turn in speakers.turns if turn.start_ms >= 6000} == {1}
    assert speakers.overlaps == ()


def test_it_is_the_same_however_the_samples_are_cut(voice):
    assert told(after(4, voice), voice) == told(after(4, voice), voice, block=777)


def test_what_leaks_into_the_other_channel_is_not_the_other_person(voice):
    far, near = after(6, voice), np.pad(voice, (0, 6 * SAMPLE_RATE))
    leaking = told(near + 0.1 * far, far + 0.1 * near)
    assert leaking is not None
    assert leaking.overlaps == ()


def test_both_at_once_is_an_overlap(voice):
    speakers = told(np.concatenate([voice, after(4, voice)]), after(3, voice))
    assert speakers.n == 2
    assert sum(span.end_ms - span.start_ms for span in speakers.overlaps) > 300


@pytest.mark.parametrize(
    "channels",
    [
        lambda voice: (voice, voice),
        lambda voice: (voice, np.zeros_like(voice)),
        lambda voice: (voice, -0.3 * voice),
        lambda voice: (voice,),
        lambda voice: (np.zeros_like(voice), np.zeros_like(voice)),
    ],
    ids=["the same", "one silent", "opposite phase", "mono", "silence"],
)
def test_other_recordings_are_not_split(voice, channels):
    assert told(*channels(voice)) is None


def test_a_file_whose_channels_change_is_not_split(voice):
    listener = ChannelListener()
    listener.feed(np.stack([after(6, voice), np.pad(voice, (0, 6 * SAMPLE_RATE))]))
    listener.feed(voice[None])
    assert listener.finish() is None


def test_a_track_for_each_person(voice, tmp_path):
    pcm = np.rint(voice * 32767).astype(np.int16)
    late = np.concatenate([np.zeros(6 * SAMPLE_RATE, dtype=np.int16), pcm])
    file = write_media(tmp_path / "two.mka", Track(late), Track(pcm), kind="matroska")
    listener = ChannelListener()
    for _ in decode(file, report=DecodeReport(), max_duration_s=100, on_channels=listener.feed):
        pass
    speakers = listener.finish()
    assert speakers is not None
    assert [turn.speaker for turn in speakers.turns if turn.start_ms < 6000][:1] == [0]
    assert speakers.n == 2


@pytest.mark.recordings
def test_a_call(recordings):
    file = recordings / "en_call_2spk_stereo_8k.wav"
    speakers = people_on_channels(file, max_duration_s=100)
    errors = diarization_errors(read_rttm(file.with_suffix(".rttm")), speakers.turns)
    assert (speakers.n, errors.confused) == (2, 0)
    assert errors.rate < 5


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["en_jfk_11s.flac", "en_sonnet1_53s.mp3", "music_synth_12s.ogg"])
def test_stereo_that_is_no_call(recordings, name):
    assert people_on_channels(recordings / name, max_duration_s=100) is None


def test_a_file_that_is_no_call_is_left_early(voice, tmp_path):
    seconds = []
    pcm = np.rint(np.tile(voice, 40) * 32767).astype(np.int16)
    file = write_media(tmp_path / "long.wav", Track(np.stack([pcm, pcm], axis=1)), kind="wav")
    found = people_on_channels(file, max_duration_s=1000, on_progress=lambda: seconds.append(1))
    assert found is None
    assert len(seconds) < 180 < len(pcm) // SAMPLE_RATE
