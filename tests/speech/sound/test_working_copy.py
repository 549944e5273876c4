"""The working copy holds exactly what was decoded, is read by sample, and is never half there."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech.errors import AudioTooLong, NoAudio, UnreadableAudio, UnsupportedMedia
from speech.sound import working_copy
from speech.sound.working_copy import Block, read_range, read_samples, write_working_copy
from speech.types import samples_to_ms
from tests.speech.sounds import Track, decoded, tone, write_media


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """25 s of noise, which no codec can make small."""
    noise = np.random.default_rng(7).integers(-20_000, 20_000, size=25 * 44_100, dtype=np.int16)
    return write_media(tmp_path / "source.wav", Track(noise, rate=44_100), kind="wav")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy"


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_copy, "PART", 10 * 16_000)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def length_ms(copy: Path) -> int:
    return samples_to_ms(sum(soundfile.info(part).frames for part in copy.glob("*.flac")))


def test_every_window_is_exactly_what_was_decoded(source: Path, target: Path) -> None:
    report = write_working_copy(source, target, max_duration_s=60)
    whole, _ = decoded(source)
    assert length_ms(target) == report.duration_ms == 25_000
    for start_ms, end_ms in ((0, 25_000), (0, 1), (1, 2), (12_345, 23_456), (24_999, 25_000)):
        samples = read_samples(target, start_ms, end_ms)
        assert samples.dtype == np.float32
        assert np.array_equal(samples * 32768, whole[start_ms * 16 : end_ms * 16])


def test_windows_that_touch_neither_lose_nor_double_a_sample(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    edges = [0, 4_321, 4_322, 9_999, 17_000, 25_000]
    windows = [read_samples(target, a, b) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate(windows), read_samples(target, 0, 25_000))


def test_reading_past_the_end_gives_what_there_is(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    assert len(read_samples(target, 24_000, 99_000)) == 16_000
    assert len(read_samples(target, 30_000, 31_000)) == 0


def test_it_reads_from_a_file_object(source: Path, target: Path) -> None:
    write_working_copy(BytesIO(source.read_bytes()), target, max_duration_s=60)
    assert length_ms(target) == 25_000


def test_it_tells_how_far_it_is(source: Path, target: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    write_working_copy(source, target, max_duration_s=60, on_progress=lambda *call: calls.append(call))
    assert [total for _, total in calls] == [25_000, 25_000]
    assert [done for done, _ in calls] == pytest.approx([10_000, 20_000], abs=1_100)


def test_it_replaces_an_earlier_copy(source: Path, target: Path) -> None:
    target.mkdir()
    (target / "00000.flac").write_text("an earlier one")
    write_working_copy(source, target, max_duration_s=60)
    assert length_ms(target) == 25_000
    assert names(target) == ["00000.flac", "end"]


@pytest.mark.usefixtures("short_parts")
def test_a_part_appears_when_it_is_whole_and_can_be_read_at_once(source: Path, target: Path) -> None:
    seen: list[tuple[int, int]] = []
    heard: list[Block] = []

    def look(block: Block, readable: int) -> None:
        heard.append(block)
        seen.append((sum(map(len, heard)), readable))
        if readable:
            assert len(read_range(target, readable - 1000, readable)) == 1000
        with pytest.raises(FileNotFoundError):
            read_range(target, readable, readable + 1)

    write_working_copy(source, target, max_duration_s=60, on_block=look)
    assert {readable for _, readable in seen} == {0, 160_000, 320_000}
    assert all(done // 160_000 * 160_000 == readable for done, readable in seen)
    assert np.array_equal(np.concatenate(heard), decoded(source)[0])
    assert names(target) == ["00000.flac", "00001.flac", "00002.flac", "end"]


@pytest.mark.usefixtures("short_parts")
def test_reading_goes_over_the_seams_of_parts(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    whole, _ = decoded(source)
    for start_ms, end_ms in ((0, 25_000), (9_999, 10_001), (10_000, 20_000), (0, 20_000), (5_000, 24_000)):
        samples = read_samples(target, start_ms, end_ms)
        assert np.array_equal(samples * 32768, whole[start_ms * 16 : end_ms * 16])
    assert len(read_samples(target, 24_000, 99_000)) == 16_000
    assert len(read_samples(target, 30_000, 41_000)) == 0


@pytest.mark.usefixtures("short_parts")
def test_a_recording_that_ends_with_a_part_ends_there(tmp_path: Path, target: Path) -> None:
    source = write_media(
        tmp_path / "a.wav", Track(np.arange(20 * 16_000, dtype=np.int16), rate=16_000), kind="wav"
    )
    write_working_copy(source, target, max_duration_s=60)
    assert names(target) == ["00000.flac", "00001.flac", "end"]
    assert len(read_samples(target, 19_000, 21_000)) == 16_000
    assert len(read_samples(target, 20_000, 21_000)) == 0


@pytest.mark.usefixtures("short_parts")
def test_a_copy_that_lacks_a_part_or_its_end_is_not_read_as_a_shorter_one(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    (target / "00001.flac").unlink()
    with pytest.raises(FileNotFoundError):
        read_samples(target, 9_000, 11_000)
    (target / "end").write_text("")
    with pytest.raises(UnreadableAudio, match="working copy"):
        read_samples(target, 30_000, 31_000)
    (target / "end").unlink()
    with pytest.raises(FileNotFoundError):
        read_samples(target, 30_000, 31_000)


class Cancelled(Exception):
    pass


def test_it_leaves_nothing_behind_when_it_is_stopped(source: Path, target: Path) -> None:
    def stop(done_ms: int, total_ms: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        write_working_copy(source, target, max_duration_s=60, on_progress=stop)
    assert list(target.parent.iterdir()) == []


@pytest.mark.usefixtures("short_parts")
def test_stopped_late_it_leaves_nothing_behind_either(source: Path, target: Path) -> None:
    def stop(block: Block, readable: int) -> None:
        if readable:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_working_copy(source, target, max_duration_s=60, on_block=stop)
    assert list(target.parent.iterdir()) == []


@pytest.mark.usefixtures("short_parts")
def test_one_that_is_stopped_takes_no_part_from_another_that_writes_the_same_copy(
    source: Path, target: Path
) -> None:
    def finish_another(block: Block, readable: int) -> None:
        if readable:
            write_working_copy(source, target, max_duration_s=60)
            raise Cancelled

    with pytest.raises(Cancelled):
        write_working_copy(source, target, max_duration_s=60, on_block=finish_another)
    assert np.array_equal(read_samples(target, 0, 25_000) * 32768, decoded(source)[0])
    assert names(target) == ["00000.flac", "00001.flac", "00002.flac", "end"]


def test_two_may_end_the_same_copy_at_once(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    others = [None]

    def after_another(new: str, old: Path) -> None:
        if old.name == "end" and others:
            others.clear()
            write_working_copy(source, target, max_duration_s=60)
        replace(new, old)

    monkeypatch.setattr(os, "replace", after_another)
    write_working_copy(source, target, max_duration_s=60)
    assert not others
    assert len(read_samples(target, 0, 99_000)) == 25 * 16_000
    assert names(target) == ["00000.flac", "end"]


@pytest.mark.usefixtures("short_parts")
def test_one_goes_on_although_another_that_writes_the_same_copy_is_stopped(
    source: Path, target: Path
) -> None:
    stopped = []

    def stop(block: Block, readable: int) -> None:
        if readable:
            stopped.append(readable)
            raise Cancelled

    def stop_another(block: Block, readable: int) -> None:
        if readable and not stopped:
            with pytest.raises(Cancelled):
                write_working_copy(source, target, max_duration_s=60, on_block=stop)
            assert not target.exists()

    write_working_copy(source, target, max_duration_s=60, on_block=stop_another)
    assert stopped
    assert len(read_samples(target, 10_000, 99_000)) == 15 * 16_000
    with pytest.raises(FileNotFoundError):
        read_samples(target, 0, 1_000)
    write_working_copy(source, target, max_duration_s=60)
    assert len(read_samples(target, 0, 99_000)) == 25 * 16_000


def test_a_disk_that_is_full_at_the_very_end_leaves_nothing_behind_either(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def fail_at_the_end(new: str, old: Path) -> None:
        if old.name == "end":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(new, old)

    monkeypatch.setattr(os, "replace", fail_at_the_end)
    with pytest.raises(OSError, match="No space"):
        write_working_copy(source, target, max_duration_s=60)
    assert list(target.parent.iterdir()) == []


def test_it_leaves_an_earlier_copy_alone_when_it_fails(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    before = read_samples(target, 0, 25_000)
    with pytest.raises(AudioTooLong):
        write_working_copy(source, target, max_duration_s=10)
    assert np.array_equal(read_samples(target, 0, 25_000), before)
    assert names(target) == ["00000.flac", "end"]


def test_what_cannot_be_decoded_leaves_nothing_behind(tmp_path: Path, target: Path) -> None:
    video = write_media(tmp_path / "a.mp4", kind="mp4", video_s=1)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("words " * 100)
    soundfile.write(tmp_path / "header.wav", np.zeros(0), 16_000)
    for path, error in (
        (video, NoAudio),
        (tmp_path / "empty.wav", UnreadableAudio),
        (tmp_path / "text.mp3", UnsupportedMedia),
        (tmp_path / "header.wav", NoAudio),
    ):
        with pytest.raises(error):
            write_working_copy(path, target, max_duration_s=60)
    assert list(target.parent.iterdir()) == []


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow past 100 kB: the write fails as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_os_error_and_leaves_nothing_behind(
    source: Path, target: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("small_disk")
    with pytest.raises(OSError, match="File too large"):
        write_working_copy(source, target, max_duration_s=60)
    assert list(target.parent.iterdir()) == []


def test_a_damaged_copy_is_not_read_as_a_shorter_one(source: Path, target: Path) -> None:
    write_working_copy(source, target, max_duration_s=60)
    (part,) = target.glob("*.flac")
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    assert len(read_samples(target, 5_000, 6_000)) == 16_000
    with pytest.raises(UnreadableAudio, match="working copy"):
        read_samples(target, 20_000, 21_000)
    part.write_bytes(b"something else")
    with pytest.raises(UnreadableAudio, match="working copy"):
        read_samples(target, 0, 1_000)


def test_a_copy_that_is_missing_is_a_missing_file(target: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_samples(target, 0, 1000)


def test_the_report_names_what_was_lost(tmp_path: Path, target: Path) -> None:
    track = Track(tone(20, rate=44_100), 44_100, "libmp3lame")
    data = bytearray(write_media(tmp_path / "a.mp3", track, kind="mp3").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    report = write_working_copy(BytesIO(bytes(data)), target, max_duration_s=60)
    assert report.damaged
    assert report.as_json()["filled_ms"] > 0
    assert length_ms(target) == report.duration_ms == pytest.approx(20_000, abs=50)


@pytest.mark.recordings
def test_the_copy_of_a_recording_is_what_was_decoded(recordings: Path, target: Path) -> None:
    for name in ("en_sonnet1_53s.mp3", "en_video_austen_28s.mp4", "en_mediarecorder_like_austen_28s.webm"):
        report = write_working_copy(recordings / name, target, max_duration_s=3600)
        whole, again = decoded(recordings / name)
        assert report == again
        assert np.array_equal(read_samples(target, 0, report.duration_ms + 1) * 32768, whole)
