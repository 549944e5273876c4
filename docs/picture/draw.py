"""Draw docs/architecture.svg from what the code imports now: `make drawing`."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from docs.picture.columns import box_width, centers_of
from docs.picture.rooms import ROOT, Room, read
from docs.picture.rows import Link, Place, rows_of

PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, MARGIN, GAP = 1120, 20, 40
# From the top down, and from the left: how many parts of the width each room has.
PLACES = (
    {"transcribe_site": 1},
    {"sessions_app": 1},
    {"jobs_app": 39, "people_app": 11},
    {"speech": 33, "rest": 17},
)
ROW_GAP, LINE, PAD, HEAD, ROOM_HEAD = 34, 15, 18, 7, 11
LETTER, CODE_LETTER = 6.4, 7.3  # how wide one is, at most, in a sentence and in a name

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #59636e; }
.code { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.name { font-size: 14px; font-weight: 600; fill: #1f2328; }
.file { fill: #1f2328; }
.room-name { font-size: 17px; font-weight: 700; fill: #1f2328; }
.title { font-size: 20px; font-weight: 600; fill: #1f2328; }
.page { fill: #ffffff; }
.box { fill: #ffffff; stroke: #afb8c1; }
.arrow { fill: none; stroke: #6e7781; stroke-width: 1.4; }
.room-arrow { fill: none; stroke: #1f2328; stroke-width: 3; }
.head { fill: #6e7781; }
.room-head { fill: #1f2328; }
.transcribe_site { fill: #f1edfb; stroke: #c9bdf0; }
.sessions_app { fill: #e6f2fe; stroke: #a9d0f7; }
.jobs_app { fill: #e6f6ea; stroke: #a3d9b1; }
.people_app { fill: #fff5d6; stroke: #e8cf86; }
.rest, .speech { fill: #f3f4f6; stroke: #c5ccd3; }
@media (prefers-color-scheme: dark) {
  text { fill: #a5aeb8; }
  .name, .file, .room-name, .title { fill: #f0f3f6; }
  .page { fill: #0d1117; }
  .box { fill: #161b22; stroke: #57606a; }
  .arrow { stroke: #9198a1; }
  .room-arrow { stroke: #f0f3f6; }
  .head { fill: #9198a1; }
  .room-head { fill: #f0f3f6; }
  .transcribe_site { fill: #1d1930; stroke: #4b3f7d; }
  .sessions_app { fill: #0f2135; stroke: #275583; }
  .jobs_app { fill: #10261a; stroke: #2b6140; }
  .people_app { fill: #2a2310; stroke: #6d5a20; }
  .rest, .speech { fill: #1b2027; stroke: #464f59; }
}
"""


@dataclass(frozen=True)
class Area:
    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def drawing() -> str:
    rooms, between = read()
    marks = [text(MARGIN, 34, "What imports what", "title")]
    legend = (
        "An arrow goes from a folder to one that it imports. Arrows that follow from two others are left out."
    )
    marks.append(text(MARGIN, 56, legend))
    areas: dict[str, Area] = {}
    top = 76.0
    for row in PLACES:
        parts = sum(row.values())
        left, height = float(MARGIN), 0.0
        drawn = {}
        for name, share in row.items():
            width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) * share / parts
            drawn[name] = InRoom(rooms[name], left, top, width)
            areas[name] = Area(left, top, width, 0)
            left += width + GAP
            height = max(height, drawn[name].bottom - top)
        for name, room in drawn.items():
            areas[name] = Area(areas[name].left, top, areas[name].width, height)
            marks += [rectangle(areas[name], f"room {name}", 14), *room.marks]
        top += height + GAP
    marks += [room_arrow(areas[source], areas[target]) for source, target in sorted(between)]
    height = top - GAP + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(height)}" '
            f'width="{WIDTH}" height="{number(height)}" role="img" aria-labelledby="title">',
            '<title id="title">Rooms and folders of the code, and what they import</title>',
            f"<style>{STYLE}</style>",
            "<defs>",
            arrow_head("head", 6),
            arrow_head("room-head", 4),
            "</defs>",
            f'<rect class="page" width="{WIDTH}" height="{number(height)}"/>',
            *marks,
            "</svg>",
            "",
        ]
    )


class InRoom:
    """The marks inside a room, from its name down to the files that are in no folder."""

    def __init__(self, room: Room, left: float, top: float, width: float) -> None:
        self.marks: list[str] = []
        self._left, self._width = left + PAD, width - 2 * PAD
        self._top = top + 30
        self.marks.append(text(self._left, self._top, f"{room.name}/", "code room-name"))
        self._top += self._write(self._top + 20, room.sentence)
        if room.folders:
            self._draw_folders(room)
            self._top += self._write(self._top + 16, "  ".join(room.files), "code")
        else:
            for name, sentence in room.files.items():
                self._top += self._write(self._top + 22, name, "code file")
                self._top += self._write(self._top + 16, sentence)
        self.bottom = self._top + PAD

    def _write(self, top: float, words: str, style: str = "") -> float:
        """Write lines, the first with its foot at `top`. How far down that leads."""
        letter = CODE_LETTER if style else LETTER
        lines = textwrap.wrap(words, int(self._width / letter), break_on_hyphens=False)
        for n, line in enumerate(lines):
            self.marks.append(text(self._left, top + LINE * n, line, style))
        return top + LINE * (len(lines) - 1) - self._top if lines else 0

    def _draw_folders(self, room: Room) -> None:
        rows, paths = rows_of(room.folders, room.arrows)
        links = {link for path in paths for link in pairwise(path)}
        centers = centers_of(rows, links, self._left, self._width)
        areas: dict[Place, Area] = {}
        top = self._top + 16
        for row in rows:
            width = box_width(row, self._width)
            texts = {
                name: textwrap.wrap(room.folders[name].sentence, int((width - 20) / LETTER))
                for name in row
                if isinstance(name, str)
            }
            height = 32 + LINE * max(map(len, texts.values()))
            for place in row:
                wide = width if place in texts else 0
                areas[place] = Area(centers[place] - wide / 2, top, wide, height)
            for name, lines in texts.items():
                self._draw_box(areas[name], name, room.folders[name].inner, lines)
            top += height + ROW_GAP
        if rows:
            self._top = top - ROW_GAP + 8
        self.marks += [folder_arrow(path, links, areas) for path in paths]

    def _draw_box(self, area: Area, name: str, inner: list[str], lines: list[str]) -> None:
        self.marks.append(rectangle(area, "box", 8))
        self.marks.append(text(area.left + 10, area.top + 20, f"{name}/", "code name"))
        if inner:
            x = area.left + 18 + 8.6 * (len(name) + 1)
            self.marks.append(text(x, area.top + 20, " ".join(f"{one}/" for one in inner), "code"))
        for n, line in enumerate(lines, start=1):
            self.marks.append(text(area.left + 10, area.top + 22 + LINE * n, line))


def ports(links: set[Link], areas: dict[Place, Area], end: int) -> dict[Link, float]:
    """Where on its box each arrow begins (`end` 0) or ends (1), in the order in which they lie."""
    found = {}
    for place, area in areas.items():
        own = sorted(
            (link for link in links if link[end] == place), key=lambda link: areas[link[1 - end]].middle
        )
        step = min(22, area.width / (len(own) + 1))
        for n, link in enumerate(own):
            found[link] = area.middle + step * (n - (len(own) - 1) / 2)
    return found


def folder_arrow(steps: list[Place], links: set[Link], areas: dict[Place, Area]) -> str:
    starts, ends = ports(links, areas, 0), ports(links, areas, 1)
    line = ""
    for link in pairwise(steps):
        x, y = starts[link], areas[link[0]].bottom
        to_x, to_y = ends[link], areas[link[1]].top - (HEAD if link[1] == steps[-1] else 0)
        bend = (to_y - y) / 2
        curve = ((x, y + bend), (to_x, to_y - bend), (to_x, to_y))
        line += f"{'L' if line else 'M'}{point(x, y)}C{' '.join(point(*end) for end in curve)}"
    return f'<path class="arrow" d="{line}" marker-end="url(#head)"/>'


def room_arrow(source: Area, target: Area) -> str:
    """Straight: to a room below, or beside."""
    if target.top >= source.bottom:
        x = (max(source.left, target.left) + min(source.right, target.right)) / 2
        ends = (x, source.bottom, x, target.top - ROOM_HEAD)
    else:
        y = source.top + 40
        ends = (source.right, y, target.left - ROOM_HEAD, y)
    line = f"M{point(*ends[:2])}L{point(*ends[2:])}"
    return f'<path class="room-arrow" d="{line}" marker-end="url(#room-head)"/>'


def arrow_head(name: str, size: float) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="1" refY="5" markerWidth="{number(size)}" '
        f'markerHeight="{number(size)}" orient="auto"><path class="{name}" d="M0 0L10 5L0 10z"/></marker>'
    )


def rectangle(area: Area, style: str, radius: int) -> str:
    return (
        f'<rect class="{style}" x="{number(area.left)}" y="{number(area.top)}" width="{number(area.width)}" '
        f'height="{number(area.height)}" rx="{radius}"/>'
    )


def text(x: float, y: float, words: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{number(x)}" y="{number(y)}">{escape(words)}</text>'


def point(x: float, y: float) -> str:
    return f"{number(x)} {number(y)}"


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
