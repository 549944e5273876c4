"""Where in its row each folder of a room stands: above and below its links, as far as the others let it."""

from __future__ import annotations

from itertools import pairwise

from docs.picture.rows import Link, Place

BOX, SPACE = 200, 16


def box_width(row: list[Place], room: float) -> float:
    boxes = sum(isinstance(place, str) for place in row)
    return min(BOX, (room - SPACE * (len(row) - 1)) / max(boxes, 1))


def centers_of(rows: list[list[Place]], links: set[Link], left: float, width: float) -> dict[Place, float]:
    """Above and below what each is linked to, as far as its neighbours let it."""
    centers: dict[Place, float] = {}
    for row in rows:
        for n, place in enumerate(row):
            centers[place] = left + width * (n + 0.5) / len(row)
    near: dict[Place, list[tuple[float, Place]]] = {place: [] for place in centers}
    for one, other in sorted(links, key=str):
        near[one].append((straightness(one, other), other))
        near[other].append((straightness(one, other), one))
    for _ in range(150):
        for row in (*rows, *rows[::-1]):
            wanted = [
                mean([(weight, centers[other]) for weight, other in near[place]] or [(1, centers[place])])
                for place in row
            ]
            box = box_width(row, width)
            widths = [box if isinstance(place, str) else 0.0 for place in row]
            centers.update(zip(row, side_by_side(wanted, widths, left, left + width), strict=True))
    halves = [
        (place, box_width(row, width) / 2 if isinstance(place, str) else 0) for row in rows for place in row
    ]
    ends = [centers[place] + side * half for place, half in halves for side in (-1, 1)]
    aside = left + width / 2 - (min(ends) + max(ends)) / 2
    return {place: center + aside for place, center in centers.items()}


def straightness(one: Place, other: Place) -> float:
    """How much it matters that a link is upright: most where an arrow only passes."""
    return 50.0 if isinstance(one, tuple) and isinstance(other, tuple) else 1.0


def mean(weighted: list[tuple[float, float]]) -> float:
    return sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)


def side_by_side(wanted: list[float], widths: list[float], left: float, right: float) -> list[float]:
    """As near to what is wanted as can be, in this order, with room between them."""
    groups: list[tuple[list[int], float]] = []

    def start_of(members: list[int]) -> float:
        offsets = offsets_of(members)
        total = offsets[-1] + widths[members[-1]] / 2
        mean = sum(wanted[i] - offset for i, offset in zip(members, offsets, strict=True)) / len(members)
        first = widths[members[0]] / 2
        return min(max(mean, left + first), max(right - total, left + first))

    def offsets_of(members: list[int]) -> list[float]:
        """Of the centers, from the first one's."""
        offsets = [0.0]
        for one, other in pairwise(members):
            offsets.append(offsets[-1] + widths[one] / 2 + SPACE + widths[other] / 2)
        return offsets

    for i in range(len(wanted)):
        members, start = [i], start_of([i])
        while groups:
            before, its_start = groups[-1]
            if its_start + offsets_of([*before, *members])[len(before)] <= start + 1e-9:
                break
            groups.pop()
            members = [*before, *members]
            start = start_of(members)
        groups.append((members, start))
    return [start + offset for members, start in groups for offset in offsets_of(members)]
