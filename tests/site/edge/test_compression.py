from __future__ import annotations

import gzip

import pytest
from django.urls import reverse


@pytest.mark.django_db
def test_pages_are_sent_compressed(client):
    plain = client.get(reverse("login"))
    small = client.get(reverse("login"), headers={"Accept-Encoding": "gzip"})
    assert small["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small["Vary"]
    assert b"</html>" in gzip.decompress(small.content)
    # Up to 100 bytes of chance are in it, so that its length says nothing of what it holds.
    assert len(small.content) < len(plain.content) * 2 / 3


@pytest.mark.django_db
def test_what_is_no_page_stays_as_it_is(client, alice):
    client.force_login(alice)
    for address in ("/api/schema/", "/api/jobs/"):
        answer = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer
