"""Say what is logged, and shorten lines of the log. The settings load this, so it imports nothing of ours."""

from __future__ import annotations

import logging
from typing import Any


class OneLine(logging.Filter):
    """Leave out the traceback, which tells nothing about a refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


def logging_at(level: str) -> dict[str, Any]:
    """Return the setting LOGGING. Everything from `level` on is written to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
        "filters": {"one_line": {"()": "transcribe_site.watching.log_lines.OneLine"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Scanners guess at names of hosts. Each try gets one line in the log.
            "django.security.DisallowedHost": {"filters": ["one_line"]},
            # Its own handler would print each line a second time.
            "django-q": {"handlers": ["console"], "propagate": False, "level": level},
            # It logs each window, and this program logs it, too.
            "faster_whisper": {"level": "WARNING"},
        },
    }
