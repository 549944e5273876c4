"""Find what people changed in the segments of a job, so that readers get the changed values."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sessions_app.models.edits import Edit, EditKind

CHANGES = {EditKind.TEXT: "text", EditKind.SPEAKER: "speaker", EditKind.BREAK: "break_before"}
"""Each kind of edit changes this field of a segment."""

Changes = dict[str, Any]
"""The changed fields of a segment, each with the value that a person gave it."""


def changes_in(job_id: uuid.UUID, numbers: Collection[int] | None = None) -> dict[int, Changes]:
    """Return the changes of a job by the number of the segment.

    If `numbers` are given, only the changes of those segments are returned. This takes one SQL statement.
    """
    edits = Edit.objects.in_force().filter(job=job_id).order_by()
    if numbers is not None:
        edits = edits.filter(segment_number__in=numbers)
    found: dict[int, Changes] = defaultdict(dict)
    for number, kind, value in edits.values_list("segment_number", "kind", "value"):
        # An empty value means that a person took back all edits of this field.
        if value is not None:
            found[number][CHANGES[EditKind(kind)]] = value
    return dict(found)
