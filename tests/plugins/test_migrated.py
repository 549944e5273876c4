"""The plugin `tests.plugins.migrated`, in runs of its own."""

from __future__ import annotations

import sqlite3

import pytest

from tests.plugins.migrated import fingerprint
from tests.services import ROOT

pytest_plugins = ["pytester"]

ASKS = """
import pytest
from django.core.management import call_command
from django.db import connection

@pytest.mark.django_db
def test_the_database():
    call_command("migrate", check_unapplied=True)
    print("mark" in connection.introspection.table_names())
"""


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("TEST_DATABASE", raising=False)
    pytester.makeconftest('pytest_plugins = ["tests.plugins.migrated"]')
    pytester.makepyfile(ASKS)

    def go() -> str:
        result = pytester.runpytest_subprocess("-p", "no:xdist", "--ds=tests.settings", "-s")
        result.assert_outcomes(passed=1)
        return result.stdout.str()

    return go


def test_the_second_run_begins_with_a_copy_of_what_the_first_has_kept(run, pytester):
    assert "False" in run()
    (kept,) = (pytester.path / ".pytest_cache" / "d" / "migrated").iterdir()
    with sqlite3.connect(kept) as database:
        database.execute("CREATE TABLE mark (id INTEGER)")
    assert "True" in run()


def test_a_changed_migration_makes_another(tmp_path, monkeypatch, settings):
    before = fingerprint()
    assert fingerprint() == before
    (tmp_path / "other_migrations").mkdir()
    (tmp_path / "other_migrations" / "__init__.py").touch()
    migration = tmp_path / "other_migrations" / "0001_initial.py"
    migration.write_text(
        "from django.db import migrations\n\nclass Migration(migrations.Migration):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"people_app": "other_migrations"}
    changed = fingerprint()
    assert changed != before
    migration.write_text(migration.read_text() + "    initial = True\n")
    assert fingerprint() not in (before, changed)
