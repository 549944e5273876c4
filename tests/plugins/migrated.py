"""A migrated database, which test processes copy instead of migrating one each: a plugin of pytest.

On SQLite it is kept from run to run with what pytest keeps; `make clean` removes both. Its name is made of
all migrations, so that a changed one makes another. On a server nothing is kept: nobody would remove it.

PYTEST_DONT_REWRITE, for the same reason as `tests.plugins.processes`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader


def kept_at(config: pytest.Config) -> Path | None:
    """Where the database is kept, if it can be kept."""
    if connection.vendor != "sqlite" or not hasattr(config, "cache"):
        return None
    return config.cache.mkdir("migrated") / f"{fingerprint()}.sqlite3"


def fingerprint() -> str:
    """Of the code of all migrations, those of Django and of Django-Q2 among them."""
    modules = {migration.__module__ for migration in MigrationLoader(None).disk_migrations.values()}
    code = hashlib.sha256()
    for name in sorted(modules):
        code.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return code.hexdigest()[:16]


@pytest.fixture(scope="session")
def django_db_keepdb(pytestconfig: pytest.Config, django_db_modify_db_settings: None) -> bool:
    """Put the copy where pytest-django will look for a database to go on with.

    It migrates what it finds, which here is nothing but to note permissions. The folder goes as the run ends.
    """
    kept = kept_at(pytestconfig)
    if kept is None:
        return False
    if kept.exists():
        shutil.copyfile(kept, connection.settings_dict["TEST"]["NAME"])
    return True


@pytest.fixture(scope="session")
def django_db_setup(
    pytestconfig: pytest.Config, django_db_setup: None, django_db_blocker: pytest.FixtureRequest
) -> None:
    """Keep the database that was just migrated, for those that come after."""
    kept = kept_at(pytestconfig)
    if kept is None or kept.exists():
        return
    # Whole, or not there: several processes may begin at once.
    own = kept.with_suffix(f".{os.getpid()}")
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(own)])
    own.replace(kept)
    for older in kept.parent.glob("*.sqlite3"):
        if older != kept:
            older.unlink(missing_ok=True)
