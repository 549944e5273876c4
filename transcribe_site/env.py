"""Settings from the environment. A value that cannot be used stops the start and names itself.

Every name may also be given as `NAME_FILE`, the path of a file that holds the value (for secrets).
An empty value counts as not given.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.connection import parse_url


def text(name: str, default: str = "") -> str:
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as e:
            raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({e.strerror})") from e
    return os.environ.get(name, "").strip() or default


def required(name: str, why: str) -> str:
    if value := text(name):
        return value
    raise ImproperlyConfigured(f"{name} (or {name}_FILE) must be set: {why}")


def boolean(name: str, default: bool) -> bool:
    value = text(name, str(default))
    if value not in ("True", "False"):
        raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}")
    return value == "True"


def number(name: str, default: int, *, at_least: int = 0, at_most: int | None = None) -> int:
    value = text(name, str(default))
    try:
        parsed = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}") from None
    if parsed < at_least or (at_most is not None and parsed > at_most):
        limits = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ImproperlyConfigured(f"{name} must be {limits}, not {parsed}")
    return parsed


def optional_number(name: str, *, at_least: int = 0) -> int | None:
    """None where nothing is given."""
    return number(name, at_least, at_least=at_least) if text(name) else None


def decimal(name: str, default: str) -> Decimal:
    """A number that is not negative, with a point before its fraction."""
    value = text(name, default)
    # Not what Decimal takes besides: NaN, 1e9, digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
        raise ImproperlyConfigured(f"{name} must be a number such as 0.006, not {value!r}")
    return Decimal(value)


def one_of(name: str, default: str, choices: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def items(name: str, default: str = "") -> list[str]:
    """A list written with commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def some_of(name: str, default: str, choices: tuple[str, ...]) -> list[str]:
    """A list of choices; `none` is the empty one."""
    values = items(name, default)
    if values == ["none"]:
        return []
    if unknown := [value for value in values if value not in choices]:
        raise ImproperlyConfigured(f"{name} must be of {', '.join(choices)}, or none; not {unknown[0]!r}")
    return list(dict.fromkeys(values))


def http_url(name: str, default: str = "") -> str:
    """The address of a server, without a slash at its end.

    A password in it is refused, since addresses are shown and logged; so the message does not repeat it.
    """
    value = text(name, default)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_known:
        raise ImproperlyConfigured(f"{name} must look like https://host/v1 or http://host:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment or any(not "!" <= c <= "~" for c in value):
        raise ImproperlyConfigured(
            f"{name} must be an address alone, without a user name, password, `?`, `#` or spaces; "
            "a key has a setting of its own"
        )
    return value.rstrip("/")


def sqlite(path: Path) -> dict[str, Any]:
    """Django's settings for a SQLite file that several processes read and write."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            # A transaction that reads before it writes would otherwise fail at once, without the timeout.
            "transaction_mode": "IMMEDIATE",
            # FULL: what was answered as stored survives a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
        # A file, not memory: the workers that a test starts must see the same rows.
        "TEST": {"NAME": path.with_name(f"test_{path.name}")},
    }


def database(url: str) -> dict[str, Any]:
    """Django's settings for `postgres://user:password@host:port/name?sslmode=...` or `sqlite:///path`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path.strip("/"):
        return sqlite(Path(unquote(parts.path)))
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgres://user:password@host:5432/name or sqlite:////path/of/file "
            "(leave it out for a SQLite file in DATA_DIR)"
        )
    try:
        port = parts.port or 5432
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL: the port must be a number") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": port,
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def redis(url: str) -> dict[str, Any]:
    """What redis-py's client takes for `redis://user:password@host:6379/0`; `rediss://` for TLS."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        raise ImproperlyConfigured("REDIS_URL must look like redis://user:password@host:6379/0") from None
    # The client makes its own connections, and takes a flag where the parser names a class.
    return {**options, "ssl": True} if options.pop("connection_class", None) else options
