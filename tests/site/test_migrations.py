"""Between `migrate` and the restart of an upgrade the code of before writes into the tables of now.

So from release 0.2 on a migration only adds. docs/architecture.md has the rule, in "To change a table".
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.fields import NOT_PROVIDED

Key = tuple[str, str]
APPS = ("people_app", "jobs_app", "sessions_app")
# They make the tables of release 0.2; what comes after them only adds.
FIRST: set[Key] = {
    ("people_app", "0001_initial"),
    ("jobs_app", "0001_initial"),
    ("jobs_app", "0002_initial"),
    ("sessions_app", "0001_initial"),
}
# Migrations that may take something away, because no code has used it since the release that is named here.
UNUSED_SINCE: Mapping[Key, str] = {}
# Constraints that come back wider than they were, so that whatever held before holds still; and those of a
# new column, which its default keeps.
WIDENED: Mapping[Key, set[str]] = {
    ("jobs_app", "0003_live"): {"jobstep_kind_known"},
    ("jobs_app", "0004_refine"): {"job_kind_known"},
    ("jobs_app", "0006_speakers"): {"jobstep_kind_known"},
    ("jobs_app", "0012_translation"): {"jobstep_kind_known", "job_stage_known"},
}

HARMLESS = (
    migrations.CreateModel,
    migrations.AddIndex,
    migrations.RemoveIndex,
    migrations.RenameIndex,
    migrations.RemoveConstraint,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.AlterModelTableComment,
    migrations.RunPython,
    migrations.RunSQL,
)
# What holds all that the other could hold.
WIDER = {
    ("CharField", "TextField"),
    ("SmallIntegerField", "IntegerField"),
    ("IntegerField", "BigIntegerField"),
    ("PositiveSmallIntegerField", "PositiveIntegerField"),
    ("PositiveIntegerField", "PositiveBigIntegerField"),
}


def faults(apps: tuple[str, ...], first: set[Key], unused: Mapping[Key, str]) -> list[str]:
    """What the code of before could not live with in the migrations that come after the first."""
    loader = MigrationLoader(None)
    return [
        f"{app}.{name}: {fault}"
        for app, name in sorted(loader.disk_migrations)
        if app in apps and (app, name) not in first and (app, name) not in unused
        for fault in faults_of(
            loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False)
        )
    ]


def faults_of(migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    # The code of before writes no rows of a table that it does not know.
    new = {
        operation.name_lower
        for operation in migration.operations
        if isinstance(operation, migrations.CreateModel)
    }
    for operation in migration.operations:
        widened = isinstance(
            operation, migrations.AddConstraint
        ) and operation.constraint.name in WIDENED.get((migration.app_label, migration.name), ())
        if getattr(operation, "model_name_lower", None) not in new and not widened:
            yield from faults_in(operation, state, migration.app_label)
        operation.state_forwards(migration.app_label, state)


def faults_in(operation: Operation, state: ProjectState, app: str) -> Iterator[str]:
    if isinstance(operation, migrations.AddField):
        if not can_be_left_out(operation.field):
            yield f"{operation.model_name}.{operation.name} has neither db_default nor null"
    elif isinstance(operation, migrations.AlterField):
        before = state.models[app, operation.model_name_lower].fields[operation.name]
        for fault in narrower(before, operation.field):
            yield f"{operation.model_name}.{operation.name} {fault}"
    elif not isinstance(operation, HARMLESS):
        yield f"{operation.describe()}: this does not only add"


def can_be_left_out(field: models.Field) -> bool:
    """Whether a row may be written by code that does not know this column."""
    return field.null or field.many_to_many or field.generated or field.db_default is not NOT_PROVIDED


def narrower(before: models.Field, now: models.Field) -> Iterator[str]:
    kinds = (before.get_internal_type(), now.get_internal_type())
    if kinds[0] != kinds[1] and kinds not in WIDER:
        yield f"becomes a {kinds[1]}, from a {kinds[0]}"
    if before.null and not now.null:
        yield "may no longer be null"
    if now.unique and not before.unique:
        yield "must be unique now"
    if now.max_length is not None and (before.max_length is None or now.max_length < before.max_length):
        yield "becomes shorter"
    if before.db_column != now.db_column:
        yield "moves to another column"
    if can_be_left_out(before) and not can_be_left_out(now):
        yield "can no longer be left out"


def test_migrations_after_the_first_only_add():
    assert faults(APPS, FIRST, UNUSED_SINCE) == []


def test_the_first_are_there():
    assert set(MigrationLoader(None).disk_migrations) >= FIRST | set(UNUSED_SINCE)


START = """
migrations.CreateModel("Talk", [
    ("id", models.BigAutoField(primary_key=True)),
    ("title", models.CharField(max_length=100)),
    ("note", models.TextField(null=True)),
    ("length", models.IntegerField(db_default=0)),
    ("word", models.CharField(max_length=9, null=True)),
])
"""


@pytest.fixture
def of_a_late_app(tmp_path, monkeypatch, settings):
    """What is wrong with a second migration of an app, given its operations as code."""

    def look(operations: str, unused: Mapping[Key, str] | None = None) -> list[str]:
        folder = tmp_path / "late_app" / "migrations"
        folder.mkdir(parents=True)
        for package in (folder.parent, folder):
            (package / "__init__.py").touch()
        for name, dependencies, code in (
            ("0001_first", [], START),
            ("0002_later", ["0001_first"], operations),
        ):
            (folder / f"{name}.py").write_text(
                "from django.db import migrations, models\n"
                "class Migration(migrations.Migration):\n"
                f"    dependencies = {[('late_app', other) for other in dependencies]}\n"
                f"    operations = [{code}]\n"
            )
        monkeypatch.syspath_prepend(tmp_path)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "late_app"]
        return faults(("late_app",), {("late_app", "0001_first")}, unused or {})

    yield look
    for name in [name for name in sys.modules if name.partition(".")[0] == "late_app"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "operations",
    [
        'migrations.AddField("talk", "place", models.TextField(db_default=""))',
        'migrations.AddField("talk", "place", models.TextField(null=True))',
        'migrations.AlterField("talk", "title", models.CharField(max_length=200))',
        'migrations.AlterField("talk", "title", models.TextField())',
        'migrations.AlterField("talk", "length", models.BigIntegerField(db_default=0))',
        'migrations.AddIndex("talk", models.Index(fields=["title"], name="by_title"))',
        'migrations.CreateModel("Row", [("id", models.BigAutoField(primary_key=True))]),'
        'migrations.AddField("row", "talk", models.ForeignKey("late_app.Talk", models.CASCADE))',
        "migrations.RunPython(migrations.RunPython.noop)",
    ],
)
def test_what_only_adds_is_good(of_a_late_app, operations):
    assert of_a_late_app(operations) == []


@pytest.mark.parametrize(
    ("operations", "fault"),
    [
        (
            'migrations.AddField("talk", "done", models.BooleanField(default=False))',
            "talk.done has neither db_default nor null",
        ),
        (
            'migrations.AddField("talk", "place", models.TextField(blank=True))',
            "talk.place has neither db_default nor null",
        ),
        ('migrations.RemoveField("talk", "note")', "Remove field note from talk: this does not only add"),
        (
            'migrations.RenameField("talk", "note", "remark")',
            "Rename field note on talk to remark: this does not only add",
        ),
        ('migrations.DeleteModel("Talk")', "Delete model Talk: this does not only add"),
        ('migrations.RenameModel("Talk", "Speech")', "Rename model Talk to Speech: this does not only add"),
        (
            'migrations.AddConstraint("talk", models.UniqueConstraint(fields=["title"], name="one"))',
            "Create constraint one on model talk: this does not only add",
        ),
        (
            'migrations.AlterField("talk", "title", models.CharField(max_length=50))',
            "talk.title becomes shorter",
        ),
        (
            'migrations.AlterField("talk", "title", models.IntegerField())',
            "talk.title becomes a IntegerField, from a CharField",
        ),
        (
            'migrations.AlterField("talk", "title", models.CharField(max_length=100, unique=True))',
            "talk.title must be unique now",
        ),
        (
            'migrations.AlterField("talk", "title", models.CharField(max_length=100, db_column="name"))',
            "talk.title moves to another column",
        ),
        (
            'migrations.AlterField("talk", "length", models.IntegerField())',
            "talk.length can no longer be left out",
        ),
        (
            'migrations.AlterField("talk", "word", models.CharField(max_length=9, null=True, unique=True)),'
            'migrations.AlterField("talk", "word", models.CharField(max_length=5, null=True, unique=True))',
            "talk.word must be unique now|talk.word becomes shorter",
        ),
        (
            'migrations.AlterField("talk", "note", models.TextField(db_default=""))',
            "talk.note may no longer be null",
        ),
    ],
)
def test_what_takes_away_is_found(of_a_late_app, operations, fault):
    assert of_a_late_app(operations) == [f"late_app.0002_later: {one}" for one in fault.split("|")]


def test_what_no_code_uses_any_more_may_go(of_a_late_app):
    assert (
        of_a_late_app('migrations.RemoveField("talk", "note")', {("late_app", "0002_later"): "0.3.0"}) == []
    )
