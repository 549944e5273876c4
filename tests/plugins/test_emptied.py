"""The plugin `tests.plugins.emptied`: what a test commits is not there in the next one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection

from tests.plugins import emptied

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("rows", [1, emptied.MANY + 1])
@pytest.mark.parametrize("time", ["first", "second"])
def test_rows_are_gone_and_permissions_stay(django_user_model, time, rows):
    assert not django_user_model.objects.exists()
    assert not Group.objects.exists()
    assert Permission.objects.exists()
    Group.objects.bulk_create(Group(name=f"group {n}") for n in range(rows))
    group = Group.objects.first()
    group.permissions.set(Permission.objects.all()[:3])
    django_user_model.objects.create_user("someone").groups.add(group)


def test_all_tables_are_emptied_but_two():
    kept = {connection.ops.quote_name(name) for name in emptied.KEPT}
    every = {connection.ops.quote_name(name) for name in connection.introspection.django_table_names()}
    assert every - set(emptied.tables()) == kept
