"""Group vectors of voices by average linkage, in time that allows for ten hours.

Distances are 1 minus the cosine of the angle between two unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speech.speakers.hearing.packing import Floats, Integers

AT_ONCE = 1500
"""Vectors that are grouped together: 19 minutes. The distances of so many take 9 MB."""
_MOST_GROUPS = 3000
_TIGHTER, _TIGHT = 0.12, 0.15
"""Above `AT_ONCE`, groups are made in two stages. Means of many are more alike than single vectors."""
_LEAST_MEMBERS = 3
_FEW = 60
_ODD_GROUPS = 20
"""How many groups of odd pieces may stand beside the number that is asked for."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two groups that become one. Each is named by one of its members."""

    height: float
    left: int
    right: int


def linkage(vectors: Floats, sizes: Integers | None = None) -> list[Merge]:
    """Return the merges of average linkage, the closest first. Each vector stands for `sizes` others.

    Nearest-neighbour chains (Murtagh 1983): n merges of n steps each, and n² distances of memory.
    """
    n = len(vectors)
    distance = np.asarray(1 - vectors @ vectors.T, dtype=np.float32)
    np.fill_diagonal(distance, np.inf)
    size = np.ones(n) if sizes is None else sizes.astype(np.float64)
    alive = np.ones(n, dtype=bool)
    chain: list[int] = []
    merges: list[Merge] = []
    while len(merges) < n - 1:
        if not chain:
            chain.append(int(alive.argmax()))
        tip = chain[-1]
        near = int(distance[tip].argmin())
        if len(chain) > 1 and distance[tip, near] >= distance[tip, chain[-2]]:
            near = chain[-2]
        if len(chain) < 2 or near != chain[-2]:
            chain.append(near)
            continue
        del chain[-2:]
        left, right = sorted((tip, near))
        merges.append(Merge(float(distance[left, right]), left, right))
        share = np.float32(size[right] / (size[left] + size[right]))
        row = distance[left] * (1 - share) + distance[right] * share
        row[left] = np.inf
        distance[left], distance[:, left] = row, row
        distance[right], distance[:, right] = np.inf, np.inf
        size[left] += size[right]
        alive[right] = False
    return sorted(merges, key=lambda merge: merge.height)


def cut(merges: Sequence[Merge], n: int, *, height: float = np.inf, groups: int = 1) -> Integers:
    """Return the group of each of `n` vectors after the merges below `height`, down to `groups` groups."""
    root = list(range(n))

    def find(at: int) -> int:
        while root[at] != at:
            root[at] = root[root[at]]
            at = root[at]
        return at

    for merge in merges[: max(0, n - groups)]:
        if merge.height > height:
            break
        left, right = sorted((find(merge.left), find(merge.right)))
        root[right] = left
    return np.unique([find(at) for at in range(n)], return_inverse=True)[1].astype(np.int64)


def means_of(vectors: Floats, groups: Integers) -> tuple[Floats, Integers]:
    """Return the unit mean of each group, of shape (groups, values), and how many vectors it has."""
    sizes = np.bincount(groups)
    totals = np.zeros((len(sizes), vectors.shape[1]), dtype=np.float32)
    np.add.at(totals, groups, vectors)
    return unit(totals), sizes


def unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def group(vectors: Floats, alike: float, exactly: int | None = None) -> tuple[Floats, Integers]:
    """Return the centres of the voices in vectors that are in order of time, and how many each has.

    Vectors belong together while their mean cosine is at least `alike`, or until `exactly` voices are left.
    """
    sizes = None
    if len(vectors) > AT_ONCE:
        vectors, sizes = _small_groups(vectors, alike + _TIGHTER)
        alike += _TIGHT
    merges = linkage(vectors, sizes)
    if exactly is None:
        groups = cut(merges, len(vectors), height=1 - alike)
    else:
        groups = _exactly(merges, len(vectors), exactly, sizes)
    counts = np.bincount(groups, weights=sizes).astype(np.int64)
    centres, _ = means_of(vectors if sizes is None else vectors * sizes[:, None].astype(np.float32), groups)
    if exactly is not None:
        kept = np.sort(np.argsort(-counts, kind="stable")[:exactly])
        centres, counts = centres[kept], counts[kept]
    return centres, counts


def _small_groups(vectors: Floats, alike: float) -> tuple[Floats, Integers]:
    """Return the means of groups within blocks of `AT_ONCE`, and how many vectors each has."""
    means, sizes = [], []
    for first in range(0, len(vectors), AT_ONCE):
        block = vectors[first : first + AT_ONCE]
        mean, size = means_of(block, cut(linkage(block), len(block), height=1 - alike))
        means.append(mean[size >= 2])
        sizes.append(size[size >= 2])
    all_means, all_sizes = np.concatenate(means), np.concatenate(sizes)
    if not len(all_means):
        return vectors[:AT_ONCE], np.ones(AT_ONCE, dtype=np.int64)
    largest = np.sort(np.argsort(-all_sizes, kind="stable")[:_MOST_GROUPS])
    return all_means[largest], all_sizes[largest]


def _exactly(merges: Sequence[Merge], n: int, wanted: int, sizes: Integers | None) -> Integers:
    """Return the first cut with `wanted` groups of some size; beside them may stand a few odd vectors."""
    if n >= _FEW or sizes is not None:
        for groups in range(wanted, min(wanted + _ODD_GROUPS, n) + 1):
            found = cut(merges, n, groups=groups)
            if (np.bincount(found, weights=sizes) >= _LEAST_MEMBERS).sum() >= wanted:
                return found
    return cut(merges, n, groups=min(wanted, n))
