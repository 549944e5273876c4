"""Put the chunks of a recording on its timeline, one after another, each in its stored place or a new one."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from jobs_app.lifecycle.sound_tracks import usual_ms, wish_of
from jobs_app.models import PlacedChunk, SoundTrack
from jobs_app.models.sound import DAMAGED, LEFT_OUT, MISSING, UNREADABLE, StoredGap
from jobs_app.recordings import Chunk
from jobs_app.work import timeline
from jobs_app.work.guard import Run
from speech.errors import AudioTooLong, NoAudio, SpeechError
from speech.sound.peaks import PeakMeter
from speech.sound.working_copy import Block
from speech.types import SAMPLE_RATE, DecodeReport, ms_to_samples, samples_to_ms

NOT_HEARD = (UNREADABLE, LEFT_OUT)
"""The reasons of gaps for chunks that are stored but not heard.

`left_out` means that the chunk does not fit into the longest recording that is allowed.
"""
LONGEST_EXPECTED = 4
"""A chunk that cannot be read gets at most this many usual lengths, whatever length its header gives."""
SHORTEST_GAP = SAMPLE_RATE // 2
"""A readable chunk gets a gap only if it lacks at least this many samples.

A lost chunk always gets a gap, however short it is.
"""


@dataclass(slots=True)
class Placement:
    """The chunks side by side on the timeline, up to a missing one that may still come.

    Lengths are in samples.

    A chunk that an earlier run has placed keeps its place, unless a chunk that was given up comes late and
    does not have the length that was assumed. `changed` is the part of the timeline, from start to end, that
    has changed; the end is None if everything after the start has changed.
    """

    sound: SoundTrack
    pieces: Sequence[PlacedChunk]
    planned_ms: int = field(kw_only=True)
    finished: bool = field(kw_only=True)
    on_block: Callable[[Block, int], None] | None = field(kw_only=True, default=None)
    places: dict[uuid.UUID, tuple[int | None, int | None]] = field(default_factory=dict)
    gaps: list[StoredGap] = field(default_factory=list)
    reports: list[DecodeReport] = field(default_factory=list)
    peaks: PeakMeter = field(default_factory=PeakMeter)
    end: int = 0
    wait_s: float | None = None
    changed: tuple[int, int | None] | None = None
    problem: SpeechError | None = None

    def place_all(self, run: Run) -> None:
        stored: list[StoredGap] = self.sound.gaps
        gaps = {gap["chunk"]: gap for gap in stored}
        last_known = max((p.chunk.number for p in self.pieces if p.sample_count is not None), default=-1)
        most = settings.MAX_AUDIO_S * SAMPLE_RATE
        next_number = known_end = 0
        for piece in self.pieces:
            number = piece.chunk.number
            before = (len(self.gaps), self.end)
            missing = range(next_number, number)
            if missing and not self._leave_room(missing, piece, gaps, known_end):
                break
            if self.end >= most or (missing and self.end + self._expected(piece.chunk) > most):
                # The chunks before this one are kept although this one does not fit, and no silence is stored
                # before it.
                del self.gaps[before[0] :]
                self.end = before[1]
                self._leave_out(number)
                break
            next_number = number + 1
            gap = gaps.get(number)
            if piece.start_sample is None or piece.sample_count is None:
                start = self.end
                self._decode(piece, run)
                if number < last_known:
                    self._came_late(number, start, gap)
                continue
            known_end = piece.start_sample + piece.sample_count
            if self.end + piece.sample_count > most:
                self._add_gap(number, LEFT_OUT, self.end, most - self.end)
                self._put(piece, most - self.end)
                continue
            if gap is not None:
                self.gaps.append(_moved(gap, self.end - piece.start_sample))
            self._put(piece, piece.sample_count)
        # Live hosts hear audio before it is in chunks, so windows may lie behind all of them. But if the
        # timeline was longer before, its last chunks were removed.
        removed = min(self.planned_ms, self.sound.duration_ms or 0) > samples_to_ms(self.end)
        if removed and self.changed is None and self.on_block is None:
            self.changed = (self.end, None)

    def _leave_room(
        self,
        missing: Sequence[int],
        following: PlacedChunk,
        gaps: Mapping[int, StoredGap],
        known_end: int,
    ) -> bool:
        """Give the chunks that are missing before `following` their gaps.

        Return False if one of them may still come.

        `known_end` is where the chunk before them ends on the stored timeline.
        """
        given_up = {number: gaps[number] for number in missing if number in gaps}
        for number in list(given_up):
            if given_up[number]["reason"] != MISSING:
                del given_up[number]  # this chunk had come, and was removed later
        removed = None
        if following.start_sample is not None and following.sample_count is not None:
            # If the chunk that follows has a place, all chunks before it have had one, too.
            removed = following.start_sample - known_end - sum(_length(gap) for gap in given_up.values())
            if removed > 0:
                self._was_removed(following, removed)
                removed = 0 if following.chunk.continues else removed
        for number in missing:
            gap = given_up.get(number)
            length: int | None
            if gap is None and removed is not None:
                length, removed = max(0, removed), 0
            else:
                length = self._length_of_missing(number, gap)
            if length is None:
                return False
            self._add_gap(number, MISSING, self.end, length)
            self.end += length
        return True

    def _was_removed(self, following: PlacedChunk, length: int) -> None:
        """Note that a chunk before `following` was removed after it had got its place, which is now a gap."""
        end: int | None = self.end + length
        if following.chunk.continues:
            # The following pieces of the stream were decoded as a continuation of the removed piece. When
            # they are decoded again, the clock of the stream shows how much is missing.
            self._decode_again(from_number=following.chunk.number)
            end = None
        self._note_change(self.end, end)

    def _leave_out(self, number: int) -> None:
        """End the timeline before the chunk with this number.

        Note this chunk and all later ones as left out.
        """
        self.problem = self.problem or AudioTooLong()
        for piece in self.pieces:
            if piece.chunk.number >= number:
                self._add_gap(piece.chunk.number, LEFT_OUT, self.end, 0, shortest=0)
                if piece.sample_count is not None:
                    self._place(piece, self.end, 0)

    def _put(self, piece: PlacedChunk, length: int) -> None:
        if (piece.start_sample, piece.sample_count) != (self.end, length):
            self._place(piece, self.end, length)
        self.end += length

    def _place(self, piece: PlacedChunk, start: int | None, length: int | None) -> None:
        piece.start_sample, piece.sample_count = start, length
        self.places[piece.chunk.pk] = (start, length)

    def _decode(self, piece: PlacedChunk, run: Run) -> None:
        chunk = piece.chunk
        before_ms = samples_to_ms(self.end)
        passes = 2 if self.on_block is None else 1
        alone = len(self.pieces) == 1

        def hear(block: Block, readable: int) -> None:
            if alone:
                self.peaks.feed(block)
            if self.on_block is not None:
                self.on_block(block, readable)

        try:
            report = timeline.prepare_chunk(
                piece,
                self.pieces,
                wish=wish_of(self.sound),
                max_duration_s=settings.MAX_AUDIO_S - before_ms // 1000,
                on_progress=lambda done_ms, _: run.advance((before_ms + done_ms) // passes),
                on_block=hear,
            )
        except SpeechError as e:
            too_long = isinstance(e, AudioTooLong)
            if (too_long and alone) or not e.permanent:
                raise
            self.problem = self.problem or e
            # A chunk without any audio takes no room. The last chunk of a recorder may be one.
            length = self._expected(chunk) or (0 if isinstance(e, NoAudio) else self._usual_length())
            length = min(length, settings.MAX_AUDIO_S * SAMPLE_RATE - self.end)
            self._add_gap(chunk.number, LEFT_OUT if too_long else UNREADABLE, self.end, length)
            self._put(piece, length)
            return
        self.reports.append(report)
        length = report.samples
        if chunk.continues:
            # The clock of the stream shows whether a piece before this one was lost.
            self._add_gap(chunk.number, MISSING, self.end, report.filled_samples, shortest=SHORTEST_GAP)
        elif report.damaged and not alone:
            # The chunk keeps its full length, so that the audio after it does not shift.
            length = max(length, self._expected(chunk))
            lost = length - report.samples
            self._add_gap(chunk.number, DAMAGED, self.end + report.samples, lost, shortest=SHORTEST_GAP)
        self._put(piece, length)

    def _came_late(self, number: int, start: int, gap: StoredGap | None) -> None:
        end: int | None = None
        if gap is not None and self.end == start + _length(gap):
            end = self.end
        # Each following piece was decoded as a continuation of the piece before it.
        if self._decode_again(from_number=number + 1):
            end = None
        self._note_change(start, end)

    def _decode_again(self, *, from_number: int) -> bool:
        """Remove the places of the pieces that continue a stream, from this number on.

        Return False if no such piece is there.
        """
        again = False
        for piece in self.pieces:
            if piece.chunk.number >= from_number:
                if not piece.chunk.continues:
                    break
                piece.start_sample = piece.sample_count = None
                again = True
        return again

    def _note_change(self, start: int, end: int | None) -> None:
        if self.changed is not None:
            start, before = self.changed
            end = None if before is None or end is None else end
        self.changed = (start, end)

    def _length_of_missing(self, number: int, gap: StoredGap | None) -> int | None:
        """Return the length of the gap for a missing chunk; None if the chunk may still come."""
        after = [piece.chunk for piece in self.pieces if piece.chunk.number > number]
        if gap is None and not self.finished:
            waited = max(chunk.age for chunk in after)
            wait_s = settings.CHUNK_WAIT_S - waited.total_seconds()
            if wait_s > 0:
                self.wait_s = wait_s
                return None
        if after[0].continues:
            return 0
        return self._usual_length() if gap is None else _length(gap)

    def _usual_length(self) -> int:
        known = [piece.sample_count for piece in self.pieces if piece.sample_count]
        if known:
            return int(statistics.median_low(known))
        told = (piece.chunk.duration_ms or piece.chunk.claimed_ms for piece in self.pieces)
        return ms_to_samples(usual_ms(told))

    def _expected(self, chunk: Chunk) -> int:
        """Return the length that the sender or the header of the chunk gives; 0 if neither does."""
        told = ms_to_samples(chunk.claimed_ms or chunk.duration_ms or 0)
        # Both lengths may be wrong by much, so the length is limited.
        return min(told, LONGEST_EXPECTED * self._usual_length())

    def _add_gap(self, number: int, reason: str, start: int, length: int, *, shortest: int = 1) -> None:
        if length >= shortest:
            self.gaps.append(
                {
                    "start_ms": samples_to_ms(start),
                    "end_ms": samples_to_ms(start + length),
                    "samples": length,
                    "chunk": number,
                    "reason": reason,
                }
            )


def _length(gap: StoredGap) -> int:
    return gap["samples"]


def _moved(gap: StoredGap, samples: int) -> StoredGap:
    """Return the same gap, later by this many samples."""
    by_ms = samples_to_ms(samples)
    return {**gap, "start_ms": gap["start_ms"] + by_ms, "end_ms": gap["end_ms"] + by_ms}
