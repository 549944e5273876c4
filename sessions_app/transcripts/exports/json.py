from __future__ import annotations

import json
from dataclasses import asdict

from jobs_app.engines.usage import engines_used
from sessions_app.transcripts.formats import Format, Kind
from sessions_app.transcripts.outputs import TranscriptOutput
from sessions_app.transcripts.reading import Reading
from speech.captions.formats import transcript_dict


def write(reading: Reading) -> str:
    """Write the JSON that TranscriptOutput describes."""
    transcript = transcript_dict(
        id=str(reading.job_id),
        segments=((segment.id, segment) for segment in reading.segments()),
        language=reading.language,
        duration_ms=reading.duration_ms,
        names={one.label: one.name for one in reading.speakers},
        word_counts=reading.transcript.texts.word_counts,
    )
    beside = {
        # The text holds only what was said, so these stand beside it.
        "gaps": [asdict(gap) for gap in reading.gaps],
        "warnings": [warning.as_json() for warning in reading.warnings],
        "timing": reading.timing,
        "engines": engines_used(reading.job_id),
        "overlaps": [{"start_ms": start_ms, "end_ms": end_ms} for start_ms, end_ms in reading.overlaps()],
    }
    return json.dumps(transcript | beside, ensure_ascii=False)


FORMAT = Format(
    kind=Kind.DATA,
    content_type="application/json",
    label="With all times",
    summary="The transcript with times, speakers and words",
    write=write,
    schema=TranscriptOutput,
)
