"""The page of errors needs nothing that may be what is broken."""

from __future__ import annotations

import pytest
from django.urls import reverse


@pytest.mark.django_db
def test_without_collected_files_every_page_says_that_the_server_is_at_fault(client, settings, tmp_path):
    client.raise_request_exception = False
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    settings.STATIC_ROOT = tmp_path
    answer = client.get(reverse("login"))
    assert answer.status_code == 500
    assert "This did not work" in answer.content.decode()
    assert "<h1>Server Error" not in answer.content.decode()
