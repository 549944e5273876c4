"""Each index costs room and time at each write, so none repeats what another one can do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models import F

OWN_APPS = ("people_app", "jobs_app", "sessions_app")
MODELS = [model for label in OWN_APPS for model in apps.get_app_config(label).get_models()]

Columns = tuple[str, ...]


def column(model: type[models.Model], name: str) -> str:
    """With its direction: an index is as good backwards, but only as a whole."""
    field = model._meta.pk if name.strip("-") == "pk" else model._meta.get_field(name.lstrip("-"))
    return f"{'-' if name.startswith('-') else ''}{field.column}"


def indexes(model: type[models.Model]) -> Iterator[tuple[str, Columns, object, bool]]:
    """Name, columns, condition, and whether it is unique."""
    for field in model._meta.local_fields:
        if field.primary_key or field.unique or field.db_index:
            yield field.column, (field.column,), None, field.primary_key or field.unique
    for index in model._meta.indexes:
        yield index.name, tuple(column(model, name) for name in index.fields), index.condition, False
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            names = constraint.fields or [e.name for e in constraint.expressions if isinstance(e, F)]
            yield constraint.name, tuple(column(model, name) for name in names), constraint.condition, True


def turned(columns: Columns) -> Columns:
    return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in columns)


def repeats(model: type[models.Model]) -> list[str]:
    all_of_it = list(indexes(model))
    return [
        f"{model.__name__}: {name} is the beginning of {other}"
        for name, columns, condition, unique in all_of_it
        for other, longer, its_condition, _ in all_of_it
        if name != other
        and not unique
        and condition == its_condition
        and longer[: len(columns)] in (columns, turned(columns))
    ]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_index_repeats_the_beginning_of_another(model):
    assert repeats(model) == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_database_has_each_index_and_constraint(model):
    """PostgreSQL loses a partial unique index when the index of its column alone is taken away."""
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, model._meta.db_table)
    named = {one.name for one in (*model._meta.indexes, *model._meta.constraints)}
    assert named - set(there) == set()


def test_one_that_does_would_be_found():
    class Repeating(models.Model):
        one = models.ForeignKey("sessions_app.RecordingSession", on_delete=models.CASCADE)
        two = models.IntegerField()
        three = models.IntegerField()

        class Meta:
            app_label = "tests"
            constraints = [models.UniqueConstraint(fields=["one", "two"], name="unique")]
            indexes = [
                models.Index(fields=["-two", "three"], name="turned"),
                models.Index(fields=["two", "-three", "one"], name="whole"),
                models.Index(fields=["three"], condition=models.Q(two=1), name="of_some"),
            ]

        def __str__(self) -> str:
            return "repeating"

    assert repeats(Repeating) == [
        "Repeating: one_id is the beginning of unique",
        "Repeating: turned is the beginning of whole",
    ]
