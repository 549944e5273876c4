"""What the code imports: the rooms, their folders, and who knows whom.

An arrow that follows from two others is left out, between rooms and inside them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("transcribe_site", "sessions_app", "jobs_app", "people_app", "rest", "speech")

Arrow = tuple[str, str]


@dataclass(frozen=True)
class Folder:
    name: str
    sentence: str
    inner: list[str]
    """The folders in it."""


@dataclass(frozen=True)
class Room:
    name: str
    sentence: str
    folders: dict[str, Folder]
    files: dict[str, str]
    """What is in none of the folders, each with its first sentence."""
    arrows: set[Arrow]


def read() -> tuple[dict[str, Room], set[Arrow]]:
    """The rooms, and the arrows between them.

    Raises:
        ValueError: two rooms, or two folders of a room, know each other.
    """
    known = {name: set(imports_of(ROOT / name)) for name in NAMES}
    between = {
        (name, target.partition(".")[0])
        for name in NAMES
        for _, target in known[name]
        if target.partition(".")[0] in {*NAMES} - {name}
    }
    return {name: room(ROOT / name, known[name]) for name in NAMES}, reduced(between)


def room(package: Path, imports: set[Arrow]) -> Room:
    folders = {path.name: folder(path) for path in inner_packages(package)}
    inside = {
        (source.split(".")[1], target.split(".")[1])
        for source, target in imports
        if target.startswith(f"{package.name}.") and "." in source
    }
    return Room(
        package.name,
        first_sentence(package / "__init__.py"),
        folders,
        {
            path.name: first_sentence(path)
            for path in sorted(package.glob("*.py"))
            if path.stem not in ("__init__", "apps")
        },
        reduced({(one, other) for one, other in inside if one != other and {one, other} <= {*folders}}),
    )


def folder(package: Path) -> Folder:
    return Folder(
        package.name, first_sentence(package / "__init__.py"), [path.name for path in inner_packages(package)]
    )


def inner_packages(package: Path) -> list[Path]:
    found = sorted(path.parent for path in package.glob("*/__init__.py"))
    return [path for path in found if path.name != "migrations"]


def first_sentence(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].removesuffix(".")


def imports_of(package: Path) -> Iterator[Arrow]:
    """Each module with what it imports."""
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for target in imported(ast.parse(path.read_text(encoding="utf-8"))):
            yield module, target


def imported(tree: ast.AST) -> Iterator[str]:
    """What stands after `import` and `from`, but for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def reduced(arrows: set[Arrow]) -> set[Arrow]:
    """Without those that follow from others.

    Raises:
        ValueError: two know each other, in however many steps.
    """
    reach = {source: reachable(source, arrows) for source, _ in arrows}
    if both := sorted(name for name in reach if name in reach[name]):
        raise ValueError(f"These know each other: {', '.join(both)}")
    return {
        (source, target)
        for source, target in arrows
        if not any(target in reach.get(other, ()) for start, other in arrows if start == source)
    }


def reachable(start: str, arrows: set[Arrow]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        new = {target for source, target in arrows if source == here} - found
        found |= new
        waiting += new
    return found
