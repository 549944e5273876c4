"""Where logins are kept: Django's table. For SESSION_ENGINE."""

from __future__ import annotations

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key: str | None) -> bool:
        # Whatever else a cookie may hold is no session; PostgreSQL raises where a text has a NUL in it.
        return bool(super()._validate_session_key(key)) and key.isascii() and key.isalnum()
