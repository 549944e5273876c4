"""What the tests use beside Python, where it is, and whether it is there.

python -m tests.services postgres     says why it cannot be used, and ends with 1
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path

import playwright
import psycopg2
import redis

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL") or "postgres://postgres@127.0.0.1:5432/postgres"
# This database of the server is emptied.
REDIS_URL = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"
RECORDINGS = Path(os.environ.get("TEST_RECORDINGS") or ROOT.parent / "shared" / "audio")
PEERS = Path(os.environ.get("TEST_PEERS") or ROOT / ".peers")
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FIREFOX = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), "")

# Debian puts it where only root's PATH leads.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""

# The marks of pyproject.toml that stand for one of them.
SERVICES = ("postgres", "redis", "browser", "recordings", "peers", "nginx")
PEER_NAMES = ("open-asr-server", "faster-whisper-server")


# It comes with Playwright, and has WebSockets.
NODE = Path(playwright.__file__).parent / "driver" / "node"


@cache
def lacking(service: str) -> str:
    """Why a service cannot be used, as a sentence without its end; empty when it can."""
    match service:
        case "postgres":
            try:
                psycopg2.connect(POSTGRES_URL, connect_timeout=3).close()
            except psycopg2.Error as e:
                return f"PostgreSQL does not answer (TEST_POSTGRES_URL): {str(e).strip().splitlines()[0]}"
        case "redis":
            try:
                redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3).ping()
            except redis.RedisError as e:
                return f"Redis does not answer (TEST_REDIS_URL): {e}"
        case "browser":
            if not CHROMIUM:
                return "Chromium is not installed (CHROMIUM)"
        case "firefox":
            if not FIREFOX:
                return "Firefox is not installed (FIREFOX)"
            if not shutil.which("pulseaudio"):
                return "PulseAudio, which is Firefox's microphone here, is not installed"
        case "strace":
            if not shutil.which("strace"):
                return "strace, which shows what a process connects to, is not installed"
        case "nginx":
            if not NGINX:
                return "nginx is not installed"
        case "recordings":
            if not (RECORDINGS / "manifest.json").is_file():
                return "the folder of real recordings is missing (TEST_RECORDINGS)"
        case "peers":
            if not all((PEERS / name / "bin" / "python").exists() for name in PEER_NAMES):
                return "the peer servers are not installed (`make setup-peers`, or TEST_PEERS)"
        case _:
            raise ValueError(service)
    return ""


if __name__ == "__main__":
    if why := lacking(sys.argv[1]):
        sys.exit(why)
