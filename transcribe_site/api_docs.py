"""The OpenAPI document and its page, which answer errors as the rest of the API does."""

from __future__ import annotations

from typing import Any

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response


class ErrorsInJson:
    http_method_names = ["get", "head"]

    def handle_exception(self, exc: Exception) -> Response:
        # Their own renderers make YAML of an error, or look for a template for it.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


class SchemaView(ErrorsInJson, SpectacularAPIView):
    def _get_version_parameter(self, request: Any) -> None:
        # There is one version. The original writes whatever `?version=` says into a header.
        return None


class DocsView(ErrorsInJson, SpectacularSwaggerSplitView):
    pass
