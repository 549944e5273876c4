"""The table of options with one more line."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobs_app.engines import resolving
from jobs_app.models import jobs, options
from jobs_app.models.options import JobOptions, option


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreOptions(JobOptions):
    punctuate: bool = option(True, label="Punctuate", help="Write full stops and commas.")


def add_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (options, resolving, jobs):
        monkeypatch.setattr(module, "JobOptions", MoreOptions)
