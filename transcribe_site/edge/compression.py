"""Compress pages: they are text, and a long list or the transcript of an hour is large."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class PageCompressionMiddleware(GZipMiddleware):
    """Django's compression, but only for pages.

    Audio is compressed already, and clients ask for ranges of it. Streams of events must not wait until a
    block is full. Answers of the API keep their ETags, which clients compare.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
