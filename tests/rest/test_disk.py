"""What counts as a full disk."""

from __future__ import annotations

import errno

import pytest
from django.db import OperationalError, connection

from rest.disk import is_full
from tests.jobs.conftest import on_postgres


@pytest.mark.parametrize(
    ("number", "full"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EFBIG, True),
        (errno.EACCES, False),
        (errno.EIO, False),
    ],
)
def test_an_error_of_the_system_tells_by_its_number(number, full):
    assert is_full(OSError(number, "")) is full


@on_postgres
@pytest.mark.django_db
@pytest.mark.parametrize(("state", "full"), [("53100", True), ("53200", False)])
def test_postgresql_tells_by_its_state(state, full):
    with pytest.raises(OperationalError) as raised, connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$")
    assert is_full(raised.value) is full
