"""Find the formats in which transcripts are downloaded. Each format is a file in `exports/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from drf_spectacular.types import OpenApiTypes

from sessions_app.transcripts import exports
from sessions_app.transcripts.reading import Reading


class Kind(IntEnum):
    """The purpose of a format. Pages list the formats in this order, and within one kind by their endings."""

    TEXT = 1
    CAPTIONS = 2
    DATA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The function that writes a transcript as a file, and how pages and OpenAPI describe the file."""

    kind: Kind
    content_type: str
    label: str
    """Pages show this beside the name of the format."""
    summary: str
    """OpenAPI shows this at the address of the format."""
    write: Callable[[Reading], str | bytes]
    of_speakers: bool = False
    """Whether there is such a file only of transcripts in which speakers were told apart."""
    schema: object = OpenApiTypes.STR
    """OpenAPI describes the content of the file with this schema."""


@cache
def find_formats() -> dict[str, Format]:
    """Return all formats by the endings of their files, in the order in which pages list them."""
    found = {
        module.name: import_module(f"{exports.__name__}.{module.name}").FORMAT
        for module in iter_modules(exports.__path__)
    }
    return dict(sorted(found.items(), key=lambda item: (item[1].kind, item[0])))
