"""While somebody records, the first windows end early, and all of them while pieces are short."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import pytest
from faster_whisper import decode_audio

from jobs_app.models import JobStatus
from jobs_app.work import preparation
from speech.engines.base import Capabilities
from speech.samples import Samples
from speech.types import SAMPLE_RATE
from tests.jobs.work.growing import Recording
from tests.services import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast", "wakes")]


@pytest.fixture(scope="module")
def talk() -> Samples:
    """A minute of two voices."""
    return decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3"))


@pytest.fixture
def listening_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that listens for speech, and to which short windows cost little; or much, if asked."""
    able = Capabilities(short_windows=getattr(request, "param", True))
    monkeypatch.setattr(preparation, "capabilities_of", lambda engine, model: able)


def recording_in(alice, talk: Samples, lengths_s: list[int]) -> Recording:
    recording = Recording(alice, seconds=1)
    ends = [length * SAMPLE_RATE for length in accumulate(lengths_s)]
    recording.pieces = [piece for piece in np.split(talk, ends) if len(piece)]
    return recording


@pytest.mark.usefixtures("listening_engine")
def test_the_first_window_ends_at_a_pause_as_soon_as_one_is_long_enough(alice, talk):
    recording = recording_in(alice, talk, [5, 5, 10, 20])
    recording.send(0, 1)
    recording.work()
    assert recording.windows == []
    recording.send(2)
    recording.work()
    # Between 15,008 and 15,424 ms nobody speaks.
    assert recording.windows == [(0, 15_216)]
    for number in range(3, len(recording.pieces)):
        recording.send(number)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.windows[0] == (0, 15_216)
    assert all(a[1] == b[0] for a, b in pairwise(recording.windows))
    assert recording.windows[-1][1] == recording.job.duration_ms


@pytest.mark.parametrize(
    ("listening_engine", "piece_s", "early"),
    [(True, 5, True), (False, 5, False), (True, 10, False)],
    indirect=["listening_engine"],
)
@pytest.mark.usefixtures("listening_engine")
def test_later_windows_end_early_only_in_short_pieces_and_if_the_engine_is_fast_on_them(
    alice, talk, piece_s, early
):
    recording = recording_in(alice, np.concatenate([talk, talk]), [piece_s] * (110 // piece_s))
    for number in range(110 // piece_s):
        recording.send(number)
        recording.work()
    later = [end - start for start, end in recording.windows if start >= 40_000]
    assert later
    assert any(length_ms < 18_000 for length_ms in later) is early
    assert any(end - start < 18_000 for start, end in recording.windows)


@pytest.mark.usefixtures("listening_engine")
def test_what_has_ended_is_not_cut_early(alice, talk):
    recording = recording_in(alice, talk[: 29 * SAMPLE_RATE], [5, 5, 10])
    recording.send(*range(len(recording.pieces)))
    recording.finish()
    recording.work()
    assert recording.windows == [(0, 29_000)]
