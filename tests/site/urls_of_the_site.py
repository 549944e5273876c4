"""All addresses of the site, from its resolver."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

from django.urls import URLPattern, get_resolver

NOBODYS = {"uuid": str(uuid.UUID(int=7)), "int": "7", "str": "7", "path": "7", "slug": "x"}
"""What stands in an address where no row is meant: there is none with this key."""


def patterns(within=None, before: str = "") -> Iterator[tuple[str, str]]:
    """The route of each pattern, and an address that it matches."""
    for one in (within or get_resolver()).url_patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLPattern):
            yield route, f"/{_filled(route)}"
        else:
            yield from patterns(one, route)


def addresses() -> list[str]:
    return list(dict.fromkeys(address for _, address in patterns()))


def _filled(route: str) -> str:
    route = re.sub(r"(?<!P)<(?:(\w+):)?\w+>", lambda found: NOBODYS[found[1] or "str"], route)
    route = re.sub(r"\(\?P<format>[^)]*\)\??", "json", route)
    route = re.sub(r"\(\?P<app_label>([^|)]+)[^)]*\)", r"\1", route)
    route = re.sub(r"\(\?P<\w+>[^)]*\)", NOBODYS["uuid"], route)
    return re.sub(r"[\^$\\]|\\Z", "", route).replace("/?", "/")
