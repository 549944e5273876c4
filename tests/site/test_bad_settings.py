"""Every setting with values that cannot be used: the start ends with its name, in one sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import ROOT
from tests.settings import names
from transcribe_site.provider_settings import FIELDS

YES_NO = ["yes", "1", "true"]
NUMBER = ["many", "-1", "1.5", "1_000", "\u0661\u0662", "9" * 30]
FROM_ONE = [*NUMBER, "0"]
RATE = [
    "600",
    "abc",
    "10/fortnight",
    "0/hour",
    "-1/hour",
    "10/",
    "/hour",
    "1.5/hour",
    "10 / hour",
    "10/hours ago",
]
ORIGIN = [
    *("app.example.org", "https://", "https://app.example.org/", "https://app.example.org/path"),
    *("https://a b", "https://app.example.org:port", "https://*", "//app.example.org"),
]
URL = ["127.0.0.1:9000/v1", "ftp://host/v1", "http://user:pass-word@host/v1", "http://[host/v1"]

BAD = {
    "DEBUG": YES_NO,
    "SECRET_KEY": [""],
    "ALLOWED_HOSTS": [
        *("https://example.org", "example.org:8000", "example.org/path", "a b", "*.example.org", "::1"),
        "example.org,http://localhost",
    ],
    "CSRF_TRUSTED_ORIGINS": [*ORIGIN, "*", "app://obsidian.md"],
    "CORS_ORIGINS": [*ORIGIN, "*,https://app.example.org", "https://*.example.org"],
    "URL_PREFIX": [
        "transcribe",
        "//transcribe",
        "/a b",
        "https://example.org/transcribe",
        "/..",
        "/a//b",
        "/a?b",
    ],
    "HTTPS": YES_NO,
    "HSTS_SECONDS": NUMBER,
    "BEHIND_PROXY": YES_NO,
    "SITE_NAME": ["two\nlines", "x" * 101, "bell\a"],
    "TIME_ZONE": ["Mars/Base", "../etc/passwd", "/etc/passwd", "Europe", "GMT+25"],
    "SIGN_UP": YES_NO,
    "LOG_LEVEL": ["loud", "info"],
    "METRICS_TOKEN": ["pass-word and more", "pass-wörd"],
    "DATABASE_URL": [
        "mysql://db/name",
        "postgres://db:port/name",
        "postgres://db",
        "sqlite:",
        "http://[db/name",
    ],
    "REDIS_URL": ["127.0.0.1:6379", "http://127.0.0.1:6379", "redis://host:port/0"],
    "QUEUE": ["rabbit"],
    "MAX_UPLOAD_MB": FROM_ONE,
    "MAX_CHUNK_MB": FROM_ONE,
    "MAX_CHUNKS": FROM_ONE,
    "MAX_AUDIO_HOURS": FROM_ONE,
    "MIN_FREE_DISK_MB": NUMBER,
    "CHUNK_WAIT_S": NUMBER,
    "ABANDONED_AFTER_S": FROM_ONE,
    "ORPHAN_AFTER_HOURS": FROM_ONE,
    "UPLOAD_EXPIRES_HOURS": FROM_ONE,
    "TUS_MAX_UNFINISHED": FROM_ONE,
    "LIVE_HOSTS": [*NUMBER, "100000"],
    "LIVE_SESSIONS": FROM_ONE,
    "LIVE_FINALS_PERCENT": [*FROM_ONE, "101"],
    "LIVE_LEASE_S": [*FROM_ONE, "2"],
    "LIVE_IDLE_S": FROM_ONE,
    "LIVE_BATCH_FINALS": FROM_ONE,
    "LIVE_BATCH_S": FROM_ONE,
    "LIVE_REFINE": YES_NO,
    "LIVE_SOCKETS": FROM_ONE,
    "LIVE_SOCKETS_PER_USER": FROM_ONE,
    "LIVE_UNREAD_S": FROM_ONE,
    "ENGINE_THREADS": FROM_ONE,
    "LOCAL_DEVICE": ["gpu", "cuda:0"],
    "LOCAL_COMPUTE_TYPE": ["int4", "fp16"],
    "HF_ENDPOINT": URL,
    "HF_TOKEN": ["pass-word and more", "pass-wörd"],
    "MAX_MODEL_MB": FROM_ONE,
    "TRANSLATOR_MAX_SEGMENTS": [*FROM_ONE, "201"],
    "TRANSLATOR_MAX_CHARACTERS": [*FROM_ONE, "199", "100001"],
    "PROVIDERS": ["local", "translator", "none", "Groq", "a b", "x" * 41],
    "ENGINES": ["telepathy", "none"],
    "DEFAULT_ENGINE": ["telepathy", "openai"],
    "FALLBACK_ENGINE": ["ouija"],
    "FALLBACK_MODEL": ["base", "large-v3"],
    "LOCAL_MODEL": ["/nowhere/model", "./model", "large v3", "a/b/c"],
    "LOCAL_MODELS": ["base,/nowhere/model", "large v3"],
    "LANGUAGES_ALLOWED": ["en,Klingon", "auto", "de en"],
    "KNOWN_VOICES": YES_NO,
    "MAX_VOICES": FROM_ONE,
    "MAX_VOICE_SAMPLES": FROM_ONE,
    "WORKERS": [*FROM_ONE, "100000"],
    "LEASE_S": [*FROM_ONE, "2"],
    "MAX_ATTEMPTS": FROM_ONE,
    "RETRY_BACKOFF_S": NUMBER,
    "RETRY_BACKOFF_MAX_S": NUMBER,
    "PROVIDER_FAILURES": FROM_ONE,
    "PROVIDER_PAUSE_S": FROM_ONE,
    "PROVIDER_PAUSE_MAX_S": FROM_ONE,
    "PROVIDER_PATIENCE_S": NUMBER,
    "UNIT_DEADLINE_S": FROM_ONE,
    "SWEEP_EVERY_S": FROM_ONE,
    "STALL_AFTER_S": [*FROM_ONE, "2"],
    "STOP_GRACE_S": FROM_ONE,
    "HSTS_INCLUDE_SUBDOMAINS": YES_NO,
    "HSTS_PRELOAD": YES_NO,
    "MAX_AUDIO_TRACKS": [*FROM_ONE, "65"],
    "PROBE_SECONDS": [*FROM_ONE, "3601"],
    "PROBE_MEMORY_MB": [*FROM_ONE, "63"],
    "MAX_OPEN_RECORDINGS": FROM_ONE,
    "WEB_THREADS": FROM_ONE,
    "WEB_WAITING": NUMBER,
    "WEB_STREAMS": FROM_ONE,
    "UPLOADS_AT_ONCE": FROM_ONE,
    "STALLED_AFTER_S": FROM_ONE,
    "BODY_LEAST_BYTES_S": FROM_ONE,
    "INTERACTIVE_AHEAD_S": NUMBER,
    "PREPARATION_DEADLINE_S": FROM_ONE,
    "THROTTLE_USER": RATE,
    "THROTTLE_ANON": RATE,
    "THROTTLE_UPLOAD": RATE,
    "THROTTLE_CHUNK": RATE,
    "THROTTLE_LOGIN": RATE,
    "V1_INTERACTIVE_MAX_S": NUMBER,
    "V1_TIMEOUT_S": FROM_ONE,
    "V1_MODEL_ALIASES": ["whisper 1", "x" * 201, "whisper-1,\x07"],
    # Of a speech server; with OPENAI_BASE_URL where nothing else makes one.
    "OPENAI_BASE_URL": URL,
    "OPENAI_API_KEY": ["pass-word and more", "pass-wörd"],
    "OPENAI_MODELS": ["m" * 201],
    "OPENAI_CONCURRENCY": [*FROM_ONE, "65"],
    "OPENAI_REQUESTS_PER_MINUTE": NUMBER,
    "OPENAI_PRICE_PER_MINUTE": ["0,006", "NaN", "-1", "free"],
    "OPENAI_TIMEOUT_S": FROM_ONE,
    "OPENAI_MAX_REQUEST_MB": FROM_ONE,
    "OPENAI_MAX_AUDIO_S": [*FROM_ONE, "9"],
    "OPENAI_CONTAINER": ["aiff"],
    "OPENAI_WORD_TIMES": YES_NO,
    "OPENAI_WINDOW_S": ["60", "120-60", "0-60", "a-b"],
}
SERVER = {"OPENAI_BASE_URL": "http://127.0.0.1:9000/v1", "OPENAI_MODELS": "m", "ENGINES": "local"}

# Reads the settings once for each environment that it is given, and says what came of it.
READ_ALL = """
import json, os, runpy, sys
from django.core.exceptions import ImproperlyConfigured
before = dict(os.environ)
said = []
for more in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(before | more)
    try:
        runpy.run_path("transcribe_site/settings.py")
        said.append(None)
    except ImproperlyConfigured as error:
        said.append(str(error))
print(json.dumps(said))
"""


def environment(data_dir: Path, **values: str) -> dict[str, str]:
    # HOME for the parser of PostgreSQL's addresses; nothing else of this machine.
    return {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "SECRET_KEY": "x", **values}


def test_every_setting_has_bad_values_here_and_no_other():
    of_a_server = {f"OPENAI_{field}" for field in FIELDS}
    # DATA_DIR is refused where its folders are made, which is below.
    assert sorted([*BAD, "DATA_DIR"]) == sorted({*names(), *of_a_server})
    assert all(BAD.values())


def test_a_bad_value_of_any_setting_names_it_in_one_sentence(tmp_path):
    cases = [
        (name, value, (SERVER if name.startswith("OPENAI_") else {}) | {name: value})
        for name, values in BAD.items()
        for value in values
    ]
    # Each is good by itself.
    cases.append(("LANGUAGES_ALLOWED", "de", {"LANGUAGES_ALLOWED": "de", "LOCAL_MODEL": "tiny.en"}))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL],
        cwd=ROOT,
        env=environment(tmp_path),
        input=json.dumps([more for _, _, more in cases]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    wrong = [
        (name, value, said)
        for (name, value, _), said in zip(cases, json.loads(done.stdout), strict=True)
        if said is None or not re.match(rf"{name}\b", said) or "\n" in said or "pass-w" in said
    ]
    assert wrong == []


GOOD = {
    "ALLOWED_HOSTS": "transcribe.example.org,.example.org,127.0.0.1,[::1],my_web,*",
    "CSRF_TRUSTED_ORIGINS": "https://*.example.org,http://localhost:5173",
    "CORS_ORIGINS": "https://app.example.org,http://localhost:5173,app://obsidian.md,tauri://localhost",
    "URL_PREFIX": "/tools/transcribe/",
    "TIME_ZONE": "America/Argentina/Buenos_Aires",
    "THROTTLE_USER": "10/s",
    "THROTTLE_CHUNK": "1/day",
    "SITE_NAME": "Schreibstube Zürich",
    "LOCAL_MODEL": "Systran/faster-whisper-small",
    "LANGUAGES_ALLOWED": "de, English,pt-BR",
    "FALLBACK_ENGINE": "openai",
    "FALLBACK_MODEL": "m",
    "V1_MODEL_ALIASES": "whisper-1,Systran/faster-whisper-large-v3",
    "REDIS_URL": "rediss://user:p%40ss@redis.example.org:6380/1",
}


def test_values_that_people_use_are_taken(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL],
        cwd=ROOT,
        env=environment(tmp_path, **SERVER),
        input=json.dumps(
            [*({name: value} for name, value in GOOD.items() if name != "FALLBACK_MODEL"), GOOD]
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, set(json.loads(done.stdout))) == (0, {None}), done.stdout + done.stderr


STARTS = {
    "manage.py": ["manage.py", "check"],
    "job runner": ["manage.py", "jobrunner"],
    "web server": ["-m", "uvicorn", "transcribe_site.asgi:application", "--port", "8179"],
    "make run": ["-m", "deploy.run"],
    "preparation": ["-m", "deploy.prepare"],
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("THROTTLE_UPLOAD", "600"), ("TIME_ZONE", "Mars/Base"), ("DATA_DIR", "/dev/null/below-a-file")],
)
def test_whatever_is_started_ends_with_the_sentence_alone(start, name, value, tmp_path):
    done = subprocess.run(
        [sys.executable, *STARTS[start]],
        cwd=ROOT,
        env=environment(tmp_path, **{name: value}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    said = (done.stdout + done.stderr).strip()
    assert re.fullmatch(rf"Cannot (start|run): {name}:? .*{re.escape(value)}.*", said)


def test_a_file_that_is_no_text_names_its_setting(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe\x00")
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment(tmp_path, SITE_NAME_FILE=str(secret)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.startswith("Cannot start: SITE_NAME_FILE: ")) == (1, True)
