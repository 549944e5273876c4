"""The settings of the OpenAPI document and of its page."""

from __future__ import annotations

SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "SessionSourceEnum": "sessions_app.models.SessionSource",
        "JobKindEnum": "jobs_app.models.JobKind",
        "SegmentKindEnum": "jobs_app.models.SegmentKind",
        "CorrectingEnum": "jobs_app.api.serializers.CORRECTION_STATES",
    },
    "TITLE": "Transcription API",
    "DESCRIPTION": "Send audio or video, follow the job, fetch the transcript. Programs send a token, as "
    "`Authorization: Bearer KEY`. What its rights do not allow is answered 403 with the code `token_rights`.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/",
}
"""The setting SPECTACULAR_SETTINGS has these values, and adds the path of the site."""
