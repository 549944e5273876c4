"""The examples of docs/openai.md, each as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.services import ROOT
from tests.sessions.openai.conftest import key_of

pytestmark = pytest.mark.slow
MANUAL = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
COMMANDS = [
    command
    for command in re.findall(r"^curl (?:.*\\\n)*.*\n", MANUAL, re.MULTILINE)
    # The fake engine translates nothing.
    if "translations" not in command
]


def run(server, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": key_of(server)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_its_programs_run(server, program):
    assert run(server, sys.executable, "-c", program).strip() != ""


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_run(server, command):
    answer = run(server, "sh", "-c", command.replace("curl ", "curl -sS --fail-with-body ", 1))
    assert '"error"' not in answer
    assert answer.strip() != ""


def test_it_has_examples():
    assert (len(PROGRAMS), len(COMMANDS)) == (3, 4)
