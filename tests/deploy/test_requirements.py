"""What is installed is what was looked at: a version, and the sum of its file."""

from __future__ import annotations

import re

import pytest

from tests.services import ROOT

FILES = [ROOT / name for name in ("requirements.txt", "requirements-dev.txt", "deploy/uv.txt")]
FILES += sorted((ROOT / "tests" / "peers").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_requirement_is_pinned_with_hashes(file):
    text = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_nothing_is_installed_without_them():
    commands = (ROOT / "Makefile").read_text() + (ROOT / "deploy" / "Dockerfile").read_text()
    installs = re.findall(r"(?:pip install|\$\(PIP_INSTALL\)) .*?-r [^\n;]*", commands)
    assert len(installs) >= 4
    assert [line for line in installs if "--require-hashes" not in line] == []
