"""The OpenAPI document and its page. They answer errors in the same form as the rest of the API."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class ErrorsInJson(APIView):
    http_method_names = ["get", "head"]

    def handle_exception(self, exc: Exception) -> Response:
        # The renderers of these views would write an error as YAML, or look for a template for it.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


class SchemaView(ErrorsInJson, SpectacularAPIView):
    def _get_version_parameter(self, request: Request) -> None:
        # This API has one version. The original method writes any text from `?version=` into a header.
        return None


class DocsView(ErrorsInJson, SpectacularSwaggerSplitView):
    pass
