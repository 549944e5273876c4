"""Check whether `deploy.prepare` was run for this code and this data. People forget it after a restore or an
upgrade.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.checks import Error, Tags, register
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

OUR_APPS = ("people_app", "jobs_app", "sessions_app")

# Checks that passed once need not be repeated: the code of a running process does not change.
_in_order: set[str] = set()


def unprepared() -> Iterator[dict[str, str]]:
    """Return what is missing, as reasons of `/readyz`.

    Raises:
        DatabaseError, InterfaceError: the database does not answer.
    """
    if "migrations" not in _in_order:
        executor = MigrationExecutor(connection)
        if detail := of_another_version(executor.loader):
            yield {"code": "database_of_another_version", "detail": detail}
        elif executor.migration_plan(executor.loader.graph.leaf_nodes()):
            yield {
                "code": "migrations_pending",
                "detail": "The database is of another version. Run `python -m deploy.prepare`, "
                "then start web server and workers again.",
            }
        else:
            _in_order.add("migrations")
    if "static files" not in _in_order:
        # The setting STORAGES decides which class this is.
        storage: object = staticfiles_storage
        if isinstance(storage, ManifestFilesMixin) and not storage.read_manifest():
            yield {
                "code": "not_prepared",
                "detail": "The static files were not collected. Run `python -m deploy.prepare`, "
                "then start the web server again.",
            }
        else:
            _in_order.add("static files")


def of_another_version(loader: MigrationLoader | None = None) -> str:
    """Return why this version cannot use the database, with the remedy; empty if it can.

    Such a database has migrations of this site's apps that this version does not have. Either a newer version
    made it, or one from before 0.2, whose migrations were replaced by new ones. It must not be migrated:
    Django would take its tables for those that this version knows, because they have the same names.
    """
    loader = loader or MigrationLoader(connection, ignore_no_migrations=True)
    known = set(loader.disk_migrations) | {old for new in loader.graph.nodes.values() for old in new.replaces}
    strange = sorted(key for key in loader.applied_migrations if key[0] in OUR_APPS and key not in known)
    if not strange:
        return ""
    return (
        f"The database was made by another version of this program (it has {'.'.join(strange[-1])}), so this "
        "version does not touch it. Start that version again, or give this one an empty place: another "
        "DATA_DIR, or a new database as DATABASE_URL."
    )


@register(Tags.database)
def _check_version(databases: Sequence[str] | None = None, **kwargs: object) -> list[Error]:
    """Check the version of the database. `manage.py migrate` runs this before it changes anything."""
    detail = of_another_version() if databases else ""
    return [Error(detail, id="transcribe_site.E001")] if detail else []
