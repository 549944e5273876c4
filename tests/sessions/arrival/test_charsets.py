"""Whatever codec a request names, its body is decoded as text or refused, and cheaply."""

from __future__ import annotations

import asyncio
import encodings.aliases
import json
import time

import pytest
from django.conf import settings as django_settings
from rest_framework.throttling import SimpleRateThrottle

from transcribe_site.server import make_application

pytestmark = pytest.mark.django_db(transaction=True)

CODECS = sorted(
    {*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "idna", "punycode"}
    | {"undefined", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-8-sig", "no-such-codec", "x" * 5000}
)
PYTHONS_TEXT = {"utf-8", "utf8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1", "iso8859-1"}
COSTLY = "a" * 100 + "-" + "aaab" * 12_000
"""Python's punycode codec takes time by the square of its length."""


def part(name: str, value: str, more: str = "") -> str:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def send_all(requests: list[tuple[str, str, bytes]]) -> list[tuple[int, bytes]]:
    """Each as `(path, content type, body)`, with a CSRF cookie, one after the other; status and body."""

    async def one(application, path, kind, body):
        sent, messages = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            return await asyncio.get_running_loop().create_future()

        async def send(message):
            sent.append(message)

        headers = [
            (b"host", b"localhost"),
            (b"content-type", kind.encode("latin-1")),
            (b"content-length", str(len(body)).encode()),
            (b"cookie", f"{django_settings.CSRF_COOKIE_NAME}={'a' * 32}".encode()),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }
        scope |= {
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
            "scheme": "http",
        }
        await application(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    async def every_one():
        application = make_application()
        return [await one(application, *request) for request in requests]

    return asyncio.run(every_one())


@pytest.fixture(autouse=True)
def nobody_waits(storage, monkeypatch, settings):
    monkeypatch.setattr("transcribe_site.bodies.streaming.LINGER_S", 0)
    settings.SECURE_SSL_REDIRECT = False
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "login", "100000/hour")


FORM = "multipart/form-data; boundary=x"
WAYS = {
    "of a form": lambda codec: (f"{FORM}; charset={codec}", part("username", COSTLY) + part("password", "x")),
    "of the header itself": lambda codec: (f"{FORM}; charset*={codec}''utf-8", part("username", "x")),
    "of a file's name": lambda codec: (
        FORM,
        part("file", "x", f"; filename*={codec}''{COSTLY[:900]}") + part("username", "a"),
    ),
    "of a part": lambda codec: (
        FORM,
        part(
            "username", COSTLY, f'; filename="=?{codec}?q?a-b?="\r\nContent-Type: text/plain; charset={codec}'
        ),
    ),
    "in a field": lambda codec: (FORM, part("_charset_", codec) + part("username", COSTLY)),
    "of JSON": lambda codec: (f"application/json; charset={codec}", json.dumps({"username": COSTLY})),
    "of a form without files": lambda codec: (
        f"application/x-www-form-urlencoded; charset={codec}",
        f"username={COSTLY}&password=x",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_codec_of_pythons_is_an_error_or_costs_much(way):
    requests = []
    for codec in CODECS:
        kind, body = WAYS[way](codec)
        requests += [(path, kind, f"{body}--x--\r\n".encode()) for path in ("/login/", "/api/auth/token/")]
    began = time.process_time()
    answers = send_all(requests)
    cpu_s = (time.process_time() - began) / len(requests)
    wrong = [
        (r[0], r[1][:80], status) for r, (status, _) in zip(requests, answers, strict=True) if status >= 500
    ]
    assert wrong == []
    # Punycode alone took 0.03 s for each of them that it was let decode.
    assert cpu_s < 0.1


@pytest.mark.parametrize("codec", ["punycode", "idna", "hex", "utf-7", "utf-16", "unicode_escape", "rot13"])
@pytest.mark.parametrize("path", ["/login/", "/api/auth/token/", "/v1/audio/transcriptions", "/nowhere/"])
def test_another_charset_than_utf_8_is_refused(codec, path):
    ((status, body),) = send_all([(path, f"{FORM}; charset={codec}", b"--x--\r\n")])
    assert status == 415
    assert b"UTF-8" in body


def test_text_in_a_usual_charset_is_read():
    body = (part("username", "nobody") + part("password", "x") + "--x--\r\n").encode()
    answers = send_all([("/api/auth/token/", f'{FORM}; charset="{c}"', body) for c in sorted(PYTHONS_TEXT)])
    assert {json.loads(body)["code"] for _, body in answers} == {"wrong_password"}
