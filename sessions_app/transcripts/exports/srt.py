from __future__ import annotations

from sessions_app.transcripts.formats import Format, Kind
from sessions_app.transcripts.reading import Shown
from speech.captions.formats import to_srt

FORMAT = Format(
    kind=Kind.CAPTIONS,
    content_type="application/x-subrip; charset=utf-8",
    label="Captions, SubRip",
    summary="The transcript as SubRip captions",
    write=lambda reading: to_srt(reading.with_gaps(), bilingual=reading.shown == Shown.BOTH),
)
