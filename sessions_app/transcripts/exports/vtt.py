from __future__ import annotations

from sessions_app.transcripts.formats import Format, Kind
from sessions_app.transcripts.reading import Shown
from speech.captions.formats import to_vtt

FORMAT = Format(
    kind=Kind.CAPTIONS,
    content_type="text/vtt; charset=utf-8",
    label="Captions, WebVTT",
    summary="The transcript as WebVTT captions",
    write=lambda reading: to_vtt(reading.with_gaps(), bilingual=reading.shown == Shown.BOTH),
)
