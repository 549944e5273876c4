"""docs/architecture.md is true: what it names is there, and what is large is in its last table."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

import pytest

from docs.picture.draw import PICTURE, drawing
from docs.picture.rooms import NAMES, reduced
from tests.services import ROOT

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HEADING = "## Folders and files that are large"
MOST_LINES, MOST_LINES_WITH_REASON, MOST_MODULES = 300, 500, 10


FOLDERS = (*NAMES, "benchmarks", "deploy", "docs", "static", "templates", "tests")


def paths() -> list[str]:
    """All files and folders of the project; folders end with a slash."""
    found = [path for folder in FOLDERS for path in (ROOT / folder, *(ROOT / folder).rglob("*"))]
    return [f"{path.relative_to(ROOT).as_posix()}{'/' if path.is_dir() else ''}" for path in found]


@pytest.fixture(scope="module")
def lengths() -> dict[str, int]:
    """Of the Python files, without migrations, which Django writes."""
    own = [name for name in paths() if name.endswith(".py") and "/migrations/" not in name]
    return {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in own}


def with_reason() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \| \S", DOCUMENT.partition(HEADING)[2], flags=re.MULTILINE))


def test_the_picture_is_drawn_from_the_imports_of_today():
    assert PICTURE.read_text(encoding="utf-8") == drawing(), "`make drawing` draws it anew"


def test_an_arrow_that_follows_from_others_is_left_out():
    assert reduced({("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c")}
    with pytest.raises(ValueError, match="a, b"):
        reduced({("a", "b"), ("b", "a")})


def test_every_file_and_folder_that_is_named_is_there():
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.(?:py|js|md|html)))`", DOCUMENT))
    there = [f"/{path}" for path in paths()]
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in there)} == set()


def test_each_life_is_told_in_ten_lines_that_name_their_files():
    lives = re.split(
        r"^### ", DOCUMENT.partition("## Six lives")[2].partition("\n## ")[0], flags=re.MULTILINE
    )
    assert len(lives) == 1 + 6
    for life in lives[1:]:
        lines = re.findall(r"^\d+\. .*$", life, flags=re.MULTILINE)
        assert len(lines) == 10, life
        assert [line for line in lines if not re.search(r"`[\w/]+\.(py|js)`", line)] == []


def test_no_file_is_longer_than_its_reason_allows(lengths):
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_WITH_REASON} == {}
    long = {name for name, n in lengths.items() if n > MOST_LINES and not name.startswith("tests/")}
    assert long - with_reason() == set()


def test_no_folder_has_more_modules_than_can_be_read_at_a_glance_without_a_reason(lengths):
    modules = Counter(
        f"{PurePosixPath(name).parent}/" for name in lengths if not name.endswith("/__init__.py")
    )
    assert {name for name, n in modules.items() if n > MOST_MODULES} - with_reason() == set()
