from __future__ import annotations

from pathlib import PurePath

from sessions_app.transcripts.formats import Format, Kind
from sessions_app.transcripts.reading import Reading


def write(reading: Reading) -> str:
    """Write Rich Transcription Time Marked: a line for each turn, with its start and length in seconds.

    Fields are separated by spaces, so names have none.
    """
    file = _field(reading.title or PurePath(reading.filename).stem)
    names = {one.label: _field(one.shown_name) for one in reading.speakers}
    return "".join(
        f"SPEAKER {file} 1 {start_ms / 1000:.3f} {(end_ms - start_ms) / 1000:.3f} "
        f"<NA> <NA> {names[label]} <NA> <NA>\n"
        for start_ms, end_ms, label in reading.turns()
    )


def _field(text: str) -> str:
    return "_".join(text.split()) or "<NA>"


FORMAT = Format(
    kind=Kind.DATA,
    content_type="text/plain; charset=utf-8",
    label="Who speaks when",
    summary="Who speaks when, as RTTM",
    write=write,
    of_speakers=True,
)
