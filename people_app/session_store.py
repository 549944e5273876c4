"""Where logins are stored: in Django's table. This is for SESSION_ENGINE."""

from __future__ import annotations

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key: str | None) -> bool:
        # A cookie may hold any text, and PostgreSQL raises an error for a text with a NUL in it.
        if key is None or not super()._validate_session_key(key):  # type: ignore[misc]  # in no stubs
            return False
        return key.isascii() and key.isalnum()
