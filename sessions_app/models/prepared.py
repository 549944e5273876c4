"""Statements that are sent several times a second, whose SQL is made once.

Django takes several times as long to make the SQL of such a statement as a database on the same machine takes
to execute it.
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


class Insert:
    """An INSERT of rows that have values for these fields of the model only. Rows get no defaults."""

    def __init__(self, model: type[models.Model], *fields: str) -> None:
        columns = {field.name: field for field in model._meta.concrete_fields}
        self._table = model._meta.db_table
        self._fields = [columns[name] for name in fields]
        # By the number of rows.
        self._made: dict[int, str] = {}

    def __call__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        values = [
            field.get_db_prep_save(value, connection)
            for row in rows
            for field, value in zip(self._fields, row, strict=True)
        ]
        if not values:
            return
        n = len(values) // len(self._fields)
        if n not in self._made:
            self._made[n] = self._make(n)
        with connection.cursor() as cursor:
            cursor.execute(self._made[n], values)

    def _make(self, n: int) -> str:
        quoted = connection.ops.quote_name
        columns = ", ".join(quoted(str(field.column)) for field in self._fields)
        row = f"({', '.join(['%s'] * len(self._fields))})"
        rows = ", ".join([row] * n)
        return f"INSERT INTO {quoted(self._table)} ({columns}) VALUES {rows}"  # noqa: S608  names of models


def _adapted(ids: Iterable[uuid.UUID]) -> list[Any]:
    return [_UUIDS.get_db_prep_value(pk, connection) for pk in ids]


_UUIDS = models.UUIDField()
