"""A new format of downloads is one new file: it is then found by the API, its document, and the page."""

from __future__ import annotations

import importlib

import pytest
from django.urls import clear_url_caches, get_urlconf, reverse, set_urlconf
from drf_spectacular.generators import SchemaGenerator

from sessions_app import api_urls
from sessions_app.transcripts import exports, formats
from sessions_app.transcripts import urls as transcript_urls
from transcribe_site import urls as site_urls

SHOUTED = """
from sessions_app.transcripts.formats import Format, Kind

FORMAT = Format(
    kind=Kind.TEXT,
    content_type="text/x-shouted; charset=utf-8",
    label="Shouted",
    summary="The transcript in capitals",
    write=lambda reading: reading.text.upper(),
)
"""


def look_for_formats() -> None:
    """Let the addresses be made anew, as when the server starts."""
    formats.find_formats.cache_clear()
    for urls in (transcript_urls, api_urls, site_urls):
        importlib.reload(urls)
    clear_url_caches()
    set_urlconf(get_urlconf())


@pytest.fixture
def shouted(tmp_path, monkeypatch):
    (tmp_path / "shout.py").write_text(SHOUTED)
    with monkeypatch.context() as patch:
        patch.setattr(exports, "__path__", [*exports.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        look_for_formats()
        yield
    look_for_formats()


def test_the_formats_are_found_in_the_order_in_which_people_see_them():
    asked = ["txt", "srt", "vtt", "json"]
    assert [ending for ending in formats.find_formats() if ending in asked] == asked


@pytest.mark.usefixtures("shouted")
def test_a_new_file_is_a_new_format_everywhere(api, client, alice, new_job, add_segments):
    job = new_job(alice, transcript="Good morning.", total_segments=1)
    add_segments(job, (0, "Good morning.", ""))
    url = reverse("transcript-shout", args=[job.pk])
    assert url == f"/api/jobs/{job.pk}/transcript.shout"

    answer = api.get(f"{url}?download=1")
    assert answer.content == b"GOOD MORNING."
    assert answer["Content-Type"] == "text/x-shouted; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="A talk.shout"'

    client.force_login(alice)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert f'<a href="{url}?download=1" download>' in page
    assert "<strong>SHOUT</strong> Shouted" in page

    document = SchemaGenerator().get_schema(public=True)
    described = document["paths"]["/api/jobs/{id}/transcript.shout"]["get"]
    assert described["operationId"] == "jobs_transcript_shout"
    assert described["summary"] == "The transcript in capitals"
    assert set(described["responses"]["200"]["content"]) == {"text/x-shouted"}
