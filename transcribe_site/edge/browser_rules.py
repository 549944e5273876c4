"""The rules that browsers enforce for the pages of this site, and for pages of other origins that use it."""

from __future__ import annotations

CONTENT = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "media-src": ["'self'", "blob:"],
    "object-src": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
"""Pages of this site may load from these sources and send to these targets only."""

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""A page of another origin may use these methods."""

SENT = (
    *("accept", "authorization", "content-type", "idempotency-key", "if-none-match", "if-range", "range"),
    *("tus-resumable", "upload-checksum", "upload-length", "upload-metadata", "upload-offset"),
    *("upload-concat", "upload-defer-length", "x-http-method-override", "x-request-id", "x-requested-with"),
    # In a browser, OpenAI's client describes itself with these headers.
    *("openai-organization", "openai-project", "user-agent", "x-stainless-arch", "x-stainless-async"),
    *("x-stainless-custom-poll-interval", "x-stainless-helper-method", "x-stainless-lang", "x-stainless-os"),
    *("x-stainless-package-version", "x-stainless-poll-helper", "x-stainless-retry-count"),
    *("x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout"),
)
"""Such a page may send these headers. Browsers send no others."""

READ = (
    *("accept-ranges", "content-disposition", "content-range", "etag", "location", "retry-after"),
    *("tus-checksum-algorithm", "tus-extension", "tus-max-size", "tus-resumable", "tus-version"),
    *("upload-expires", "upload-job", "upload-length", "upload-metadata", "upload-offset", "upload-session"),
    *("x-job-id", "x-should-retry", "x-warnings"),
)
"""Such a page may read these headers. Browsers show no others."""
