"""Queries that are asked several times a second, whose SQL is made once.

Django takes several times as long to make the SQL of such a query as a database on the same machine takes to
answer it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, models


class ById:
    """A query for the rows with some ids, as tuples.

    `rows_of` returns it for a list of ids, as a `values_list`. The ids are its only parameters.
    """

    def __init__(self, rows_of: Callable[[list[uuid.UUID]], models.QuerySet[Any, Any]]) -> None:
        self._rows_of = rows_of
        # By the number of ids.
        self._made: dict[int, tuple[str, Callable[[Iterable[Any]], Iterable[Any]]]] = {}

    def __call__(self, ids: Collection[uuid.UUID]) -> list[tuple[Any, ...]]:
        if not ids:
            return []
        if len(ids) not in self._made:
            self._made[len(ids)] = self._make(len(ids))
        sql, converted = self._made[len(ids)]
        with connection.cursor() as cursor:
            cursor.execute(sql, _adapted(ids))
            return [tuple(row) for row in converted(cursor.fetchall())]

    def _make(self, n: int) -> tuple[str, Callable[[Iterable[Any]], Iterable[Any]]]:
        ids = [uuid.UUID(int=k) for k in range(n)]
        compiler = self._rows_of(ids).query.get_compiler(DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        assert list(params) == _adapted(ids)  # noqa: S101  a fault of the caller
        converters = compiler.get_converters([column for column, _, _ in compiler.select])
        return sql, lambda rows: compiler.apply_converters(rows, converters) if converters else rows


def _adapted(ids: Iterable[uuid.UUID]) -> list[Any]:
    return [_UUIDS.get_db_prep_value(pk, connection) for pk in ids]


_UUIDS = models.UUIDField()
