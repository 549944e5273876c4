"""In which row of its room each folder stands, and in which order, so that few arrows cross."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, permutations
from random import Random

from docs.picture.rooms import Arrow

Place = str | tuple[str, str, int]
"""A folder, or where an arrow passes a row: its two ends, and the number of the row."""
Link = tuple[Place, Place]
Rows = list[list[Place]]


def rows_of(names: Iterable[str], arrows: set[Arrow]) -> tuple[Rows, list[list[Place]]]:
    """The rows, and the way of each arrow: a place in each row that it goes through."""
    levels = levels_of(names, arrows)
    paths = [path(arrow, levels) for arrow in sorted(arrows)]
    rows: Rows = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for name in sorted(levels):
        rows[levels[name]].append(name)
    for place in (place for path in paths for place in path if isinstance(place, tuple)):
        rows[place[2]].append(place)
    links = {link for path in paths for link in pairwise(path)}
    # From many beginnings: from some, what is best for each row by itself leads to no good end.
    chance = Random(0)  # noqa: S311 (the same each time, so that the picture is)
    beginnings = [[sorted(row, key=lambda _: chance.random()) for row in rows] for _ in range(24)]
    return min((in_order(begun, links) for begun in beginnings), key=lambda rows: cost_of(rows, links)), paths


def levels_of(names: Iterable[str], arrows: set[Arrow]) -> dict[str, int]:
    """The number of the row of each, 0 at the top: below all that know it."""
    levels = dict.fromkeys(sorted(names), 0)
    for _ in levels:
        for source, target in arrows:
            levels[target] = max(levels[target], levels[source] + 1)
    # What nobody knows need not be at the top, far from what it knows.
    for name in set(levels) - {target for _, target in arrows}:
        levels[name] = min((levels[target] for source, target in arrows if source == name), default=1) - 1
    return levels


def path(arrow: Arrow, levels: dict[str, int]) -> list[Place]:
    source, target = arrow
    between = range(levels[source] + 1, levels[target])
    return [source, *((source, target, number) for number in between), target]


def in_order(rows: Rows, links: set[Link]) -> Rows:
    """Row by row the best order for what is above and below, until no row gets better."""
    cost = cost_of(rows, links)
    while True:
        for n, row in enumerate(rows):
            near = [[*rows[:n], list(order), *rows[n + 1 :]] for order in orders(row)]
            rows = min(near, key=lambda rows: cost_of(rows, links))
        if (now := cost_of(rows, links)) >= cost:
            return rows
        cost = now


def orders(row: list[Place]) -> Iterator[Iterable[Place]]:
    """All of a short row; of a long one those in which one place has moved."""
    if len(row) <= 5:
        yield from permutations(row)
    else:
        yield row
        for place in row:
            others = [other for other in row if other != place]
            yield from ([*others[:n], place, *others[n:]] for n in range(len(row)))


def cost_of(rows: Rows, links: set[Link]) -> tuple[int, float]:
    """How many arrows cross, and how far they go to the side."""
    crossings, aside = 0, 0.0
    for upper, lower in pairwise(rows):
        ends = sorted(
            (upper.index(one), lower.index(other)) for one, other in links if one in upper and other in lower
        )
        crossings += sum(b > d for n, (a, b) in enumerate(ends) for c, d in ends[n + 1 :] if a < c)
        aside += sum(abs((a - len(upper) / 2) - (b - len(lower) / 2)) for a, b in ends)
    return crossings, aside
