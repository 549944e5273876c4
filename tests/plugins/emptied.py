"""Take away the rows of tests that commit, in a tenth of Django's time: a plugin of pytest.

After each of them Django empties every table, for which PostgreSQL needs a second however few rows there are,
and then makes content types and permissions anew. Here rows are deleted where there are any, and those two
stay: no test changes them.

PYTEST_DONT_REWRITE, for the same reason as `tests.plugins.processes`.
"""

from __future__ import annotations

from functools import cache

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase

KEPT = {"django_content_type", "auth_permission"}
# To delete more than that takes longer than what Django does: each row is looked for in what may refer to it.
MANY = 5_000

flush = TransactionTestCase._fixture_teardown


@cache
def tables() -> list[str]:
    """Quoted names, in any order: Django's foreign keys are checked as a transaction ends."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in names if name not in KEPT]


def empty(test_case: TransactionTestCase) -> None:
    count = "SELECT '{0}', count(*) FROM (SELECT 1 FROM {0} LIMIT {1}) AS rows_there"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(count.format(name, MANY) for name in tables()))
        found = {name: n for name, n in cursor.fetchall() if n}
    if MANY in found.values():
        flush(test_case)
        return
    with transaction.atomic(), connection.cursor() as cursor:
        for name in found:
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608


def pytest_configure(config: pytest.Config) -> None:
    TransactionTestCase._fixture_teardown = empty
