"""Which audio tracks of a file are heard. Two voices stand for two people: a recording, and it backwards."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from speech.errors import NoSuchTrack
from speech.sound.decode import decode
from speech.sound.tracks.mixing import mix_tracks, side_by_side
from speech.sound.tracks.wish import TrackWish
from speech.text.language_tags import language_code
from speech.types import DecodeReport
from tests.speech.sounds import Pcm, Track, decoded, silence, tone, write_media

HELLO = Path(__file__).parents[2] / "audio" / "hello_5s.wav"


@pytest.fixture(scope="module")
def voice() -> Pcm:
    samples, rate = soundfile.read(HELLO, dtype="int16")
    assert rate == 16_000
    return samples


@pytest.fixture(scope="module")
def other() -> Pcm:
    with av.open(str(HELLO.with_name("sample.mp3"))) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        parts = [out.to_ndarray()[0] for f in container.decode(audio=0) for out in resampler.resample(f)]
    return np.concatenate(parts)[:80_000]


def after(seconds: float, samples: Pcm) -> Pcm:
    return np.concatenate([silence(seconds), samples])


def heard(folder: Path, *tracks: Track, kind: str = "matroska", **wish: object) -> tuple[Pcm, DecodeReport]:
    path = write_media(folder / "a", *tracks, kind=kind)
    return decoded(path, wish=TrackWish(**wish))  # type: ignore[arg-type]


def left_out(report: DecodeReport) -> dict[int, str]:
    return {one["track"]: one["why"] for one in report.audio_tracks["unheard"]}


def likeness(samples: Pcm, part: Pcm) -> float:
    """The correlation of `part` with what lies at its place in `samples`."""
    return float(np.corrcoef(samples[: len(part)].astype(float), part.astype(float))[0, 1])


def test_two_speakers_with_a_track_each_are_heard_together(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    second = after(len(voice) / 16_000, other)
    samples, report = heard(tmp_path, Track(voice), Track(second))
    assert report.audio_tracks == {"count": 2, "heard": [0, 1], "languages": ["", ""], "unheard": []}
    assert len(samples) == len(second)
    assert likeness(samples, voice) > 0.99
    assert likeness(samples[len(voice) :], other) > 0.99


def test_a_tone_or_silence_in_the_first_track_hides_nobody(tmp_path: Path, voice: Pcm) -> None:
    for first, why in ((tone(6), "no_speech"), (silence(6), "silent")):
        samples, report = heard(tmp_path, Track(first, default=True), Track(voice))
        assert np.array_equal(samples, voice)
        assert report.audio_tracks["heard"] == [1]
        assert left_out(report) == {0: why}


def test_a_copy_is_heard_once_softer_later_or_upside_down(tmp_path: Path, voice: Pcm) -> None:
    for copy in (voice, -voice, after(0.05, voice), voice // 2):
        samples, report = heard(tmp_path, Track(voice, default=True), Track(copy))
        assert np.array_equal(samples, voice)
        assert (report.audio_tracks["heard"], left_out(report)) == ([0], {1: "copy"})


def test_a_copy_in_another_codec_is_one(tmp_path: Path, voice: Pcm) -> None:
    _, report = heard(tmp_path, Track(voice), Track(np.repeat(voice, 3), 48_000, "libopus"))
    assert report.audio_tracks["heard"] == [0]


def test_the_track_of_the_language_is_heard(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    tracks = Track(voice, language="eng"), Track(other, language="deu")
    for language, number, sound in (("de", 1, other), ("en", 0, voice), ("", 0, voice), ("fr", 0, voice)):
        samples, report = heard(tmp_path, *tracks, language=language)
        assert np.array_equal(samples, sound), language
        assert report.audio_tracks["languages"] == ["en", "de"]
        assert left_out(report) == {1 - number: "language"}


def test_a_translation_does_not_give_way_to_silence(tmp_path: Path, voice: Pcm) -> None:
    samples, _ = heard(tmp_path, Track(silence(5), language="eng"), Track(voice, language="deu"))
    assert np.array_equal(samples, voice)


def test_the_commentary_of_a_film_is_not_heard_over_it(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    film, talk = Track(voice, language="eng"), Track(other, language="eng", title="Director's Commentary")
    samples, report = heard(tmp_path, talk, film, language="en")
    assert np.array_equal(samples, voice)
    assert left_out(report) == {0: "commentary"}


@pytest.mark.parametrize(("wish", "count"), [("0", 1), ("1", 1), ("all", 2)])
def test_the_choice_can_be_made(tmp_path: Path, voice: Pcm, wish: str, count: int) -> None:
    samples, report = heard(tmp_path, Track(voice), Track(tone(5)), track=wish)
    assert len(report.audio_tracks["heard"]) == count
    assert np.array_equal(samples, voice) == (wish == "0")
    assert (likeness(samples, tone(5)) > 0.99) == (wish == "1")


def test_a_number_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, voice: Pcm) -> None:
    with pytest.raises(NoSuchTrack, match=r"no audio track 2: this file has 2 audio tracks, numbers 0 to 1"):
        heard(tmp_path, Track(voice), Track(voice), track="2")
    with pytest.raises(NoSuchTrack, match=r"has 1 audio track, number 0"):
        heard(tmp_path, Track(voice), track="1")


def test_a_soft_speaker_is_brought_up_beside_a_loud_one(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    loud = Track(voice)
    soft = Track(after(len(voice) / 16_000, (other * 0.02).astype(np.int16)))
    samples, _ = heard(tmp_path, loud, soft)
    before, behind = (
        np.sqrt(np.mean(np.square(half.astype(float)))) for half in (voice, samples[len(voice) :])
    )
    assert 0.2 < behind / before < 1
    assert likeness(samples, voice) > 0.99


def test_more_tracks_than_may_be_heard_are_said(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    tracks = [Track(after(at, sound)) for at, sound in ((0, voice), (5, other), (10, voice[::-1]))]
    _, report = heard(tmp_path, *tracks, most=2)
    assert (report.audio_tracks["heard"], left_out(report)) == ([0, 1], {2: "too_many"})


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts", "mov"])
def test_tracks_are_read_side_by_side_from_one_file_object(
    tmp_path: Path, voice: Pcm, other: Pcm, kind: str
) -> None:
    second = np.repeat(after(len(voice) / 16_000, other), 3)
    tracks = [Track(pcm, 48_000, "aac") for pcm in (np.repeat(voice, 3), second)]
    path = write_media(tmp_path / "a", *tracks, kind=kind)
    report, again = DecodeReport(), DecodeReport()
    file = BytesIO(path.read_bytes())
    from_object = np.concatenate(list(decode(file, report=report, max_duration_s=60)))
    from_path = np.concatenate(list(decode(path, report=again, max_duration_s=60)))
    assert np.array_equal(from_object, from_path)
    assert report.audio_tracks["heard"] == [0, 1]
    assert abs(len(from_path) - len(second) / 3) < 4000


def test_each_track_begins_where_its_clock_says(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    samples, _ = heard(tmp_path, Track(voice), Track(other, start_s=7.0))
    assert likeness(samples[7 * 16_000 :], other) > 0.99


def test_a_piece_of_a_stream_has_one_track_and_says_so(tmp_path: Path, voice: Pcm, other: Pcm) -> None:
    path = write_media(tmp_path / "a", Track(voice), Track(other), kind="matroska")
    report = DecodeReport()
    samples = np.concatenate(list(decode(path, report=report, max_duration_s=60, start_sample=16_000)))
    assert np.array_equal(samples, voice[16_000:])
    assert left_out(report) == {1: "stream"}


def test_mixing_bends_what_is_too_loud_and_leaves_the_rest() -> None:
    rows = [np.full(n, 0.61, dtype=np.float32) for n in (40_000, 24_000)]
    samples = np.concatenate(list(mix_tracks([iter([row]) for row in rows], [1.0, 1.0])))
    assert len(samples) == 40_000
    assert np.allclose(samples[24_000:], 0.61)
    assert 0.9 < samples[0] < 1
    ramp = [np.arange(0, 1, 0.0002, dtype=np.float32)] * 2
    bent = np.concatenate(list(mix_tracks([iter([row]) for row in ramp], [1.0, 1.0])))
    assert all(one <= two for one, two in pairwise(bent.tolist()))


def test_tracks_are_held_for_a_second_and_not_longer() -> None:
    taken = [0, 0]

    def blocks(which: int):
        for _ in range(100):
            taken[which] += 1
            yield np.zeros(16_000, dtype=np.int16)

    rows = side_by_side([blocks(0), blocks(1)])
    for _ in range(10):
        next(rows)
    assert max(taken) <= 11


@pytest.mark.parametrize(
    ("tag", "code"),
    [("deu", "de"), ("ger", "de"), ("de-AT", "de"), ("zh_Hans", "zh"), ("eng", "en"), ("und", ""), ("", "")],
)
def test_tags_of_languages_are_read(tag: str, code: str) -> None:
    assert language_code(tag) == code
