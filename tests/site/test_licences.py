"""docs/licences.md names everything that others wrote and that is shipped or installed."""

from __future__ import annotations

import re
import subprocess

from tests.services import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
OF_OTHERS = re.compile(r"\.(onnx|mp3|wav|flac|ttf|woff2?|min\.js)$")


def test_every_package_is_there_with_its_licence_and_no_other():
    pinned = re.findall(
        r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    table = PAGE.partition("## Packages")[2]
    named = re.findall(r"^\| `([\w.-]+)` \| .*\w.* \|$", table, re.MULTILINE)
    assert sorted(named) == sorted(set(pinned))


def test_every_file_that_others_made_is_there_and_so_is_its_notice():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.splitlines()
    assert [path for path in tracked if OF_OTHERS.search(path) and f"`{path}`" not in PAGE] == []
    in_repository = PAGE.partition("## In this repository")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w./-]+/[\w./-]+)`", in_repository)
    assert [path for path in named if not (ROOT / path).is_file()] == []
    licences = [path for path in tracked if re.search(r"(^|/)LICENSE[^/]*$", path)]
    assert [path for path in licences if f"`{path}`" not in PAGE] == []


def test_the_owner_has_yet_to_choose_the_licence_of_the_program():
    assert "is not chosen yet" in PAGE
    assert not (ROOT / "LICENSE").exists()
