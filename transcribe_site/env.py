"""Read settings from the environment. If a value cannot be used, the start ends with the name of the setting.

Every setting may also be given as `NAME_FILE`, the path of a file that has the value (for secrets). An empty
value counts as not given.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured
from redis.connection import parse_url

from speech.text.language_tags import language_code

Choice = TypeVar("Choice", bound=str)

LARGEST = 10**9
"""The limit for every number. A larger one is a mistake, and products with it would be too large."""

_NAME = r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"\.?{_NAME}(\.{_NAME})*\.?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(\*\.)?({_NAME}(\.{_NAME})*|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?"
)


def text(name: str, default: str = "") -> str:
    if path := os.environ.get(f"{name}_FILE"):
        return _read(name, Path(path))
    return os.environ.get(name, "").strip() or default


def kept(name: str, path: Path) -> str:
    """Return the value of a setting that this site keeps in a file; empty if there is no such file."""
    return _read(name, path) if path.is_file() else ""


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as e:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({e.strerror})") from e
    except ValueError as e:
        raise ImproperlyConfigured(f"{name}_FILE: {path} is not a text in UTF-8") from e


def required(name: str, why: str) -> str:
    if value := text(name):
        return value
    raise ImproperlyConfigured(f"{name} (or {name}_FILE) must be set: {why}")


def boolean(name: str, default: bool) -> bool:
    value = text(name, str(default))
    if value not in ("True", "False"):
        raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}")
    return value == "True"


def line(name: str, default: str = "", *, at_most: int = 100) -> str:
    """Read one line of text that people will see."""
    value = text(name, default)
    if len(value) > at_most or not value.isprintable():
        raise ImproperlyConfigured(f"{name} must be one line of at most {at_most} characters")
    return value


def token(name: str) -> str:
    """Read a secret that is sent in a header. If it cannot be used, the message does not repeat it."""
    value = text(name)
    if not _is_ascii_word(value):
        raise ImproperlyConfigured(f"{name} must be one line of ASCII characters without spaces")
    return value


def _is_ascii_word(value: str) -> bool:
    return all("!" <= character <= "~" for character in value)


def number(name: str, default: int, *, at_least: int = 0, at_most: int = LARGEST) -> int:
    value = text(name, str(default))
    # int() also takes 1_000 and digits of other scripts, which are refused here.
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value[:100]!r}")
    parsed = int(value)
    if not at_least <= parsed <= at_most:
        only_below = at_most == LARGEST and parsed < at_least
        limits = f"at least {at_least}" if only_below else f"from {at_least} to {at_most}"
        raise ImproperlyConfigured(f"{name} must be {limits}, not {parsed}")
    return parsed


def optional_number(name: str, *, at_least: int = 0) -> int | None:
    """Read a number; None if there is no value."""
    return number(name, at_least, at_least=at_least) if text(name) else None


def decimal(name: str, default: str) -> Decimal:
    """Read a number that is not negative, with a point before its fraction."""
    value = text(name, default)
    # Decimal also takes NaN, 1e9 and digits of other scripts, which are refused here.
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
        raise ImproperlyConfigured(f"{name} must be a number such as 0.006, not {value!r}")
    return Decimal(value)


def one_of(name: str, default: Choice, choices: tuple[Choice, ...]) -> Choice:
    value = text(name, default)
    for choice in choices:
        if value == choice:
            return choice
    raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def rate(name: str, default: str) -> str:
    """Read how many requests are allowed in which time, such as `600/hour`."""
    value = text(name, default)
    # DRF reads only the first letter of the period, and only at the first request. So a typo must be found
    # here.
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(s|sec|second|m|min|minute|h|hour|d|day)", value):
        raise ImproperlyConfigured(
            f"{name} must be a number from 1 up, a slash, and second, minute, hour or day, such as 600/hour; "
            f"not {value[:100]!r}"
        )
    return value


def time_zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name} must be the name of a time zone such as Europe/Berlin, not {value[:100]!r}"
        ) from None
    return value


def hosts(name: str, default: str) -> list[str]:
    """Read names of hosts as browsers send them: a name, an address, `.name` for a name and all hosts below
    it, or `*`.
    """
    values = items(name, default)
    for value in values:
        if value != "*" and not _HOST.fullmatch(value):
            raise ImproperlyConfigured(
                f"{name} must hold names alone, such as transcribe.example.org or [::1], "
                f"without https://, port or path; not {value[:100]!r}"
            )
    return values


def origins(name: str, *, schemes: tuple[str, ...] = (), any_host: bool = False) -> list[str]:
    """Read origins as browsers send them: `scheme://host` or `scheme://host:port`.

    Args:
        schemes: the schemes that may be used; then `*.` may stand for all hosts below a name. If none are
            given, all schemes may be used, because applications have their own, but only with exact names.
        any_host: whether `*` alone may stand for all origins.
    """
    values = items(name)
    if any_host and values == ["*"]:
        return values
    for value in values:
        found = _ORIGIN.fullmatch(value)
        if not found or (found["scheme"] not in schemes if schemes else "*" in value):
            raise ImproperlyConfigured(
                f"{name} must hold origins such as https://app.example.org or http://localhost:5173, "
                f"with their scheme and without a path or slash at the end; not {value[:100]!r}"
            )
    return values


def prefix(name: str) -> str:
    """Read the path of the site on its host, such as `/transcribe`; empty if the site is at the root."""
    value = text(name).rstrip("/")
    if value and not re.fullmatch(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)+", value):
        raise ImproperlyConfigured(
            f"{name} must be a path such as /transcribe, with a slash at its start; not {value[:100]!r}"
        )
    return value


def model(name: str, default: str) -> str:
    """Read a model of the local engine: its name, or a directory that has a model in it."""
    value = text(name, default)
    require_model(name, value)
    return value


def require_model(name: str, value: str) -> None:
    """Check the name or directory of a model.

    Raises:
        ImproperlyConfigured: no model can have this name, or the directory has no model in it.
    """
    is_path = value[:1] in "./~" or value.count("/") > 1
    if is_path and not Path(value, "model.bin").is_file():
        raise ImproperlyConfigured(f"{name}: there is no model (no model.bin) in {value[:200]}")
    if not is_path and not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", value):
        raise ImproperlyConfigured(f"{name} must be the name of a model or a directory, not {value[:100]!r}")


def models(name: str, default: str) -> list[str]:
    """Read a list of models, each as `model` reads it."""
    values = items(name, default)
    for value in values:
        require_model(name, value)
    return values


def words(name: str, default: str) -> list[str]:
    """Read a list of names without spaces in them."""
    values = items(name, default)
    if bad := next((value for value in values if not _is_ascii_word(value) or len(value) > 200), None):
        raise ImproperlyConfigured(f"{name} must hold names without spaces, not {bad[:100]!r}")
    return values


def languages(name: str) -> list[str]:
    """Read a list of languages, each as people write it, into codes that speech models know."""
    values = items(name)
    if unknown := next((value for value in values if not language_code(value)), None):
        raise ImproperlyConfigured(f"{name} must hold languages such as en or German, not {unknown[:100]!r}")
    return list(dict.fromkeys(map(language_code, values)))


def items(name: str, default: str = "") -> list[str]:
    """Read a list that is written with commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def some_of(name: str, default: str, choices: tuple[str, ...]) -> list[str]:
    """Read a list of choices; `none` means an empty list."""
    values = items(name, default)
    if values == ["none"]:
        return []
    if unknown := [value for value in values if value not in choices]:
        raise ImproperlyConfigured(f"{name} must be of {', '.join(choices)}, or none; not {unknown[0]!r}")
    return list(dict.fromkeys(values))


def http_url(name: str, default: str = "") -> str:
    """Read the address of a server; slashes at its end are removed.

    An address with a password is refused, because addresses are shown and logged. For the same reason, the
    message does not repeat the address.
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


def sqlite(path: Path) -> dict[str, object]:
    """Return Django's settings for a SQLite file that several processes read and write."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            # Otherwise a transaction that reads before it writes would fail at once, without the timeout, if
            # another one has written meanwhile.
            "transaction_mode": "IMMEDIATE",
            # With FULL, everything that was answered as stored survives a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
        # Tests use a file and no database in memory, because the workers that they start must see the same
        # rows.
        "TEST": {"NAME": path.with_name(f"test_{path.name}")},
    }


def database(url: str) -> dict[str, object]:
    """Return Django's settings for a database.

    `url` is `postgres://user:password@host:port/name?sslmode=...` or `sqlite:///path`.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL is not an address") from None
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
        # PostgreSQL would otherwise compile the recursive query of a claim, because its planner estimates a
        # far higher cost than the real one.
        "OPTIONS": {"options": "-c jit=off", **dict(parse_qsl(parts.query))},
    }


def redis(url: str) -> dict[str, object]:
    """Return the options of redis-py's client for `redis://user:password@host:6379/0`; `rediss://` is TLS."""
    try:
        options: dict[str, object] = dict(parse_url(url))  # type: ignore[no-untyped-call]  # redis-py's
    except (ValueError, TypeError):
        raise ImproperlyConfigured("REDIS_URL must look like redis://user:password@host:6379/0") from None
    # For TLS the parser names a class of connections, but the client takes a flag.
    return {**options, "ssl": True} if options.pop("connection_class", None) else options
