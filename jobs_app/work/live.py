"""One recording that is heard live: from the audio that comes to the texts that people see.

It holds the lease of the job's step LIVE. What it needs to go on is in the database: if its process is
killed, another one goes on behind the last final.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace

import numpy as np
from django.conf import settings

from jobs_app.engines.offered import capabilities_of
from jobs_app.engines.resolving import script_of, transcribe_options
from jobs_app.lifecycle.finals import Position, leave_to_workers, store_batch, store_final, store_interim
from jobs_app.lifecycle.live import end_live
from jobs_app.lifecycle.sound_tracks import pieces_of, wish_of
from jobs_app.models import JobStep, LiveText, TranscriptionJob
from jobs_app.recordings import Arrival, Recording
from jobs_app.work import timeline
from jobs_app.work.guard import LeaseLost
from jobs_app.work.placement import NOT_HEARD
from speech.errors import SpeechError
from speech.live.listening import Final, Listening, LiveEngine
from speech.samples import Samples
from speech.text.scripts import in_script, text_in_script
from speech.types import SAMPLE_RATE, Transcription, ms_to_samples, samples_to_ms

logger = logging.getLogger(__name__)

TRIES = 3
"""After so many failures, an utterance is left to workers."""
INTERIM_EVERY_MS = 1_000
MOST_AT_ONCE = 30 * SAMPLE_RATE
"""So many samples are fed between two looks at all recordings, so that nobody waits for a long one."""
PLACED_EVERY_S = 1.0
"""A chunk that must be decoded is looked for so often: a worker gives it its place."""
LONGEST_SILENCE_MS = 60_000
"""A silence of this length is noted as a window, so that nobody listens to it again."""
LAG_CHANGE_MS = 1_500
FULL_SCALE = np.float32(32768)


class Hearing:
    """The live transcription of one recording, which goes on from where its text ends.

    `now` of its methods is in seconds, by the clock of the caller. A method that meets an error of the
    database can be called again. When the step no longer belongs to this run, they raise LeaseLost.
    """

    def __init__(self, step: JobStep, now: float) -> None:
        assert step.job is not None  # noqa: S101  hearing live is of a job
        self.step = step
        self.job: TranscriptionJob = step.job
        self.session: Recording = self.job.session
        self.lost = False
        live, _ = LiveText.objects.get_or_create(job=self.job)
        start_ms = max(self.job.planned_ms, live.final_ms)
        options = self.job.options
        self._script = script_of(options)
        wanted = transcribe_options(options)
        able = capabilities_of(self.job.engine, self.job.model)
        self.listening = Listening(
            start_ms,
            replace(wanted, language=wanted.language or live.language),
            voice_activity=able.needs_voice_activity,
        )
        # The attempts before this one have ended with their process, most often in the same utterance.
        self._failures = step.attempt - 1
        self._fed = ms_to_samples(start_ms)
        self._arrival: Arrival | None = None
        self._more = True
        self._look_again_at = now
        self._came_at = now
        self._ending_with: Arrival | None = None
        self._due_at: deque[float] = deque()
        self._unstored: Final | None = None
        self._batched_at = now
        self._batched_ms = self.job.planned_ms
        self._n_waiting = len(live.finals)
        self._shown_lag_ms = 0
        self._shown_interims = live.interims
        self._totals = {"finals": 0, "batches": 0, "handed over": 0}
        self._confidences: list[float] = []
        logger.info("%s is heard live from %s ms on", self.job, start_ms)

    @property
    def due_at(self) -> float | None:
        """Since when an utterance waits to be heard; None if none does."""
        return self._due_at[0] if self._due_at else None

    @property
    def has_ended(self) -> bool:
        """Whether everything is heard, and no more will come."""
        return self._ending_with is not None and not self._due_at

    def look(self, arrival: Arrival, now: float) -> None:
        """Take the audio that has come; the caller has just asked what has.

        Raises:
            SpeechError: the audio cannot be read.
        """
        if self._ending_with is not None:
            return
        if arrival != self._arrival or (self._more and now >= self._look_again_at):
            self._more = True
            enough = self._fed + MOST_AT_ONCE
            # What is read at once is of one chunk, or of pieces; others may follow.
            while self._feed(arrival, now) and self._more and self._fed < enough:
                pass
            # It is noted after the audio was read, so that an error of the database loses nothing.
            self._arrival = arrival
        idle = now - self._came_at > settings.LIVE_IDLE_S
        if idle or (arrival.finished and not self._more):
            self.listening.finish()
            self._ending_with = arrival
            self._note_due(now)

    def _feed(self, arrival: Arrival, now: float) -> bool:
        """Take the next audio. Return whether there was some."""
        sound = self.session.plain_sound_from(self._fed, MOST_AT_ONCE)
        if sound is None:
            samples = self._placed()
            self._more, self._look_again_at = True, now if len(samples) else now + PLACED_EVERY_S
        else:
            samples = np.frombuffer(sound, dtype="<i2").astype(np.float32) / FULL_SCALE
            reached = self._fed + len(samples)
            has_all = arrival.newest_sample is not None and arrival.newest_sample < reached
            self._more, self._look_again_at = bool(len(samples)) and not has_all, now
        if not len(samples):
            return False
        self.listening.feed(samples)
        self._fed += len(samples)
        self._came_at = now
        self._note_due(now)
        return True

    def _placed(self) -> Samples:
        """Return the next audio of chunks that workers have decoded; none if they have not done so yet."""
        sound = self.job.sound
        sound.refresh_from_db(fields=["gaps"])
        pieces = pieces_of(sound)
        placed = [(p.start_sample or 0) + p.sample_count for p in pieces if p.sample_count is not None]
        first_ms = samples_to_ms(self._fed)
        end_ms = min(samples_to_ms(max(placed, default=0)), first_ms + samples_to_ms(MOST_AT_ONCE))
        if end_ms <= first_ms:
            return np.zeros(0, dtype=np.float32)
        unreadable = {gap["chunk"] for gap in sound.gaps if gap["reason"] in NOT_HEARD}
        read = timeline.Timeline(pieces, unreadable=unreadable, wish=wish_of(sound))
        return read.read(first_ms, end_ms)[self._fed - ms_to_samples(first_ms) :]

    def _note_due(self, now: float) -> None:
        while len(self._due_at) < self.listening.n_ended:
            self._due_at.append(now)

    def hear_final(self, engine: LiveEngine) -> None:
        """Hear the oldest utterance that has ended, and store its text."""
        if self._unstored is None:
            if self._failures >= TRIES:
                self._leave_to_workers()
                return
            try:
                heard = self.listening.hear_final(engine)
            except SpeechError as e:
                self._failures = TRIES if e.permanent else self._failures + 1
                logger.warning("%s, an utterance, attempt %s: %s", self.job, self._failures, e)
                return
            assert heard is not None  # noqa: S101  one was due
            written = in_script(Transcription(heard.segments), self._script)
            self._unstored = replace(heard, segments=written.segments)
        final = self._unstored
        language = self.listening.options.language
        self._keep(store_final(self.step, final, self._position(), language=language))
        self._unstored = None
        self._due_at.popleft()
        self._failures = 0
        self._n_waiting += len(final.segments)
        self._totals["finals"] += len(final.segments)
        self._confidences += [s.confidence for s in final.segments if s.confidence is not None]

    def _leave_to_workers(self) -> None:
        utterance = self.listening.oldest
        assert utterance is not None  # noqa: S101  one was due
        self._keep(leave_to_workers(self.step, utterance.start_ms, utterance.end_ms))
        logger.warning("%s: workers hear the utterance at %s ms", self.job, utterance.start_ms)
        self.listening.skip_final()
        self._due_at.popleft()
        self._failures = 0
        self._n_waiting = 0
        self._batched_ms = utterance.end_ms
        self._totals["handed over"] += 1

    def wants_interim(self) -> bool:
        # After a failure, the utterance may be one that ends the process. It is heard once, as a final.
        return not self._failures and self.listening.wants_interim(INTERIM_EVERY_MS)

    def hear_interim(self, engine: LiveEngine) -> None:
        """Hear what is being said, and store its text in place of the one before."""
        try:
            heard = self.listening.hear_interim(engine)
        except SpeechError as e:
            logger.warning("%s, an interim: %s", self.job, e)
            return
        if heard is None:
            return
        # The script has as many characters, so as many of them are firm.
        heard = replace(heard, text=text_in_script(heard.text, self._script))
        self._keep(store_interim(self.step, self._position(), heard))

    def note_lag(self, *, interims: bool) -> None:
        """Store how far this recording is behind, if that has changed. `interims`: there is time for them."""
        changed = abs(self._lag_ms() - self._shown_lag_ms) >= LAG_CHANGE_MS
        if changed or interims != self._shown_interims:
            self._shown_interims = interims
            self._keep(store_interim(self.step, self._position(), None))

    def batch_if_due(self, now: float) -> None:
        """Make the finals into segments if there are enough of them, or if they have waited long enough."""
        silent = self.listening.final_ms - self._batched_ms >= LONGEST_SILENCE_MS
        old = now - self._batched_at >= settings.LIVE_BATCH_S
        if self._n_waiting >= settings.LIVE_BATCH_FINALS or (old and (self._n_waiting or silent)):
            self.batch(now)

    def batch(self, now: float) -> None:
        """Make all finals into segments."""
        if self._unstored is not None:
            return
        cut_ms = self.listening.final_ms
        n = store_batch(self.step, cut_ms)
        self._keep(n is not None)
        self._totals["batches"] += bool(n)
        self._n_waiting, self._batched_at, self._batched_ms = 0, now, cut_ms

    def end(self) -> Arrival:
        """End the step. Return what had come when it was decided that no more would."""
        assert self._ending_with is not None  # noqa: S101  has_ended
        self._keep(end_live(self.step, self.listening.received_ms))
        self._totals["batches"] += bool(self._n_waiting)
        confidence = sum(self._confidences) / len(self._confidences) if self._confidences else 0.0
        logger.info(
            "%s was heard live up to %s ms: %s, mean confidence %.2f",
            self.job,
            self.listening.received_ms,
            ", ".join(f"{n} {what}" for what, n in self._totals.items()),
            confidence,
        )
        return self._ending_with

    def _keep(self, stored: bool) -> None:
        if not stored or self.lost:
            raise LeaseLost(str(self.step))
        self._shown_lag_ms = self._lag_ms()

    def _lag_ms(self) -> int:
        return max(0, self._received_ms() - self.listening.heard_ms)

    def _received_ms(self) -> int:
        newest = (self._arrival and self._arrival.newest_sample) or 0
        return max(self.listening.received_ms, samples_to_ms(newest))

    def _position(self) -> Position:
        return Position(
            received_ms=self._received_ms(),
            heard_ms=self.listening.heard_ms,
            interims=self._shown_interims,
        )
