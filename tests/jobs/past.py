"""A long history, made by the database itself: what years of use leave in the tables."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from jobs_app.models import ChunkTranscription, SoundTrack, TranscriptionJob
from jobs_app.models.transcripts import Transcript, TranscriptText
from people_app.models import User
from sessions_app.models import RecordingSession


def make_past(template: TranscriptionJob, *, jobs: int, windows_each: int, owners: list[User]) -> None:
    """Copy a job that has ended, with its session, its transcript and its first window, `jobs` times over.

    The copies are the `owners`' in turn. Their ids are made of their numbers.
    """
    window = template.windows.first()
    cases = " ".join(f"WHEN {i} THEN {one.pk}" for i, one in enumerate(owners))
    owner = f"(CASE n.n %% {len(owners)} {cases} END)"
    session, job, sound = _uuid(1), _uuid(2), "1000000 + n.n"
    with transaction.atomic():  # a session names its job, and the job its session
        _copy(template.session, jobs, {"id": session, "owner_id": owner, "current_job_id": job})
        _copy(template.sound, jobs, {"id": sound, "session_id": session})
        _copy(template, jobs, {"id": job, "session_id": session, "owner_id": owner, "sound_id": sound})
        _copy(template.transcript, jobs, {"job_id": job})
        _copy(template.transcript.texts, jobs, {"transcript_id": job})
        _copy(
            window,
            jobs,
            {"job_id": job, "owner_id": owner, "number": "m.n"},
            also=f"CROSS JOIN (SELECT n FROM numbers WHERE n < {windows_each}) m",  # noqa: S608
            without=("id",),
        )
    if connection.vendor == "postgresql":
        # As its own housekeeping does. SQLite has no statistics unless somebody asks for them.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE" if connection.in_atomic_block else "VACUUM ANALYZE")


def _uuid(kind: int) -> str:
    if connection.vendor == "postgresql":
        return f"CAST(lpad(to_hex(n.n), 31, '0') || '{kind}' AS uuid)"
    return f"printf('%%031x{kind}', n.n)"


def _copy(
    row: Model, times: int, changed: dict[str, str], *, also: str = "", without: tuple[str, ...] = ()
) -> None:
    table, key_column = row._meta.db_table, row._meta.pk.column
    columns = [field.column for field in row._meta.concrete_fields if field.column not in without]
    values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    key: Any = row.pk if not hasattr(row.pk, "hex") or connection.vendor == "postgresql" else row.pk.hex
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {table} ({names})
                WITH RECURSIVE numbers(n) AS (
                    SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {times}
                )
                SELECT {values} FROM numbers n {also} CROSS JOIN {table} t WHERE t.{key_column} = %s""",  # noqa: S608  numbers and names of columns
            [key],
        )


BIG = {
    model._meta.db_table
    for model in (
        RecordingSession,
        SoundTrack,
        TranscriptionJob,
        Transcript,
        TranscriptText,
        ChunkTranscription,
    )
}
"""The tables that `make_past` fills."""
