"""Files of the storage that no other row names."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class LooseFile(models.Model):
    """A file that is being stored, or that is to be removed. See `jobs_app.storage.loose_files`.

    The table has only as many rows as files are on their way, so it needs no index except that of the names.
    """

    name = models.CharField(max_length=200, unique=True, help_text="In the storage.")
    since = models.DateTimeField(db_default=Now())
    doomed = models.BooleanField(default=False, help_text="It is to be removed, and no row may name it.")

    def __str__(self) -> str:
        return self.name
