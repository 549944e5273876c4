from __future__ import annotations

from sessions_app.transcripts.formats import Format, Kind
from sessions_app.transcripts.reading import Shown
from speech.captions.formats import to_txt

FORMAT = Format(
    kind=Kind.TEXT,
    content_type="text/plain; charset=utf-8",
    label="Plain text",
    summary="The transcript as plain text",
    write=lambda reading: to_txt(reading.with_gaps(), bilingual=reading.shown == Shown.BOTH),
)
