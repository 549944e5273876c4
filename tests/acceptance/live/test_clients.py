"""The programs of docs/live.md as they stand there, and `manage.py live`, on a whole site with live hosts.

The line to the site is cut in the middle, so each has to go on where the server has received the audio.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile

from benchmarks.server import Server
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.acceptance.tus.slow_line import SlowLine
from tests.services import NODE, ROOT
from tests.sessions.openai.conftest import key_of, words

pytestmark = pytest.mark.slow
MANUAL = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
[PYTHON] = re.findall(r"^```python\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
[NODE_PROGRAM, BROWSER] = re.findall(r"^```js\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
SECONDS = 8
FRAME = SAMPLE_RATE // 10


@pytest.fixture(scope="module")
def server(new_server) -> Iterator[Server]:
    with new_server(ENGINES="fake", LIVE_HOSTS="1", workers=1) as running:
        running.wait_for_live_host()
        yield running


@pytest.fixture
def line(server) -> Iterator[SlowLine]:
    """A line to the site that can be cut."""
    line = SlowLine(int(urlsplit(server.url).port or 0))
    yield line
    line.close()


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, make_numbered_audio(0, SECONDS), SAMPLE_RATE, subtype="PCM_16")
    return path


def environment(server: Server, line: SlowLine) -> dict[str, str]:
    # The command reads settings, and nothing of the site's data.
    return {
        **os.environ,
        "SITE": f"http://127.0.0.1:{line.port}",
        "TOKEN": key_of(server),
        "TRANSCRIBE_TOKEN": key_of(server),
        "SECRET_KEY": "the client's own",
        "DATA_DIR": str(server.data_dir / "client"),
        "PYTHONUNBUFFERED": "1",
    }


def cut_in_the_middle(line: SlowLine) -> None:
    """Cut the line when a third of the audio has gone over it, and mend it a second later."""

    def watch() -> None:
        while line.sent < SECONDS * SAMPLE_RATE * 2 // 3:
            time.sleep(0.05)
        line.cut()
        time.sleep(1)
        line.mend()

    threading.Thread(target=watch, daemon=True).start()


def heard(server: Server) -> list[str]:
    """The words of the newest recording's first job, as they are stored."""
    [job] = server.client.get("/api/jobs/", params={"page_size": 1}).raise_for_status().json()["results"]
    done = server.wait(job["id"])
    assert done["gaps"] == []
    return str(done["transcript"]).split()


def test_the_program_in_python_says_every_word_once(server, line, talk, tmp_path):
    program = tmp_path / "live.py"
    program.write_text(PYTHON)
    cut_in_the_middle(line)
    done = subprocess.run(
        [sys.executable, program, talk],
        env=environment(server, line),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == words(SECONDS).split()
    assert "reconnecting" in done.stderr
    assert heard(server) == words(SECONDS).split()


def test_the_program_in_javascript_says_every_word_once(server, line, talk, tmp_path):
    program = tmp_path / "live.mjs"
    program.write_text(NODE_PROGRAM)
    cut_in_the_middle(line)
    with subprocess.Popen(
        [NODE, program],
        env=environment(server, line),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        for block in soundfile.blocks(talk, blocksize=FRAME, dtype="int16"):
            process.stdin.write(block.tobytes())
            process.stdin.flush()
            time.sleep(0.1)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err.decode()
    assert out.decode().split() == words(SECONDS).split()
    assert heard(server) == words(SECONDS).split()


def test_the_command_streams_and_another_one_watches(server, line, talk):
    def command(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "live", "--server", f"http://127.0.0.1:{line.port}", *arguments],
            cwd=ROOT,
            env=environment(server, line),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    cut_in_the_middle(line)
    with command(talk, "--title", "A talk", "--language", "en") as sender:
        assert sender.stderr is not None
        session = re.fullmatch(r"Recording (\S+)\n", sender.stderr.readline())
        assert session
        with command("--watch", session[1]) as viewer:
            seen, notes = viewer.communicate(timeout=90)
            said, sender_notes = sender.communicate(timeout=90)
    assert (sender.returncode, viewer.returncode) == (0, 0), (sender_notes, notes)
    assert said.split() == seen.split() == words(SECONDS).split()
    assert "Reconnecting, everything is kept" in sender_notes
    assert "live_unavailable" not in sender_notes
    about = server.client.get(f"/api/sessions/{session[1]}/").raise_for_status().json()
    assert (about["title"], about["duration_ms"]) == ("A talk", SECONDS * 1000)
    assert heard(server) == words(SECONDS).split()
