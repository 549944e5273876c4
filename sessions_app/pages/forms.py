"""The forms of the page of a job: its title, and the language of its recording."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms

from jobs_app.engines.language_names import language_name
from jobs_app.engines.offered import capabilities_of
from jobs_app.engines.resolving import NO_FALLBACK, language_prior, resolve_options
from jobs_app.models import JobKind, JobStatus, TranscriptionJob
from jobs_app.models.options import Door, JobOptions, offered_at
from sessions_app.models import RecordingSession
from speech.errors import NotSupported

Choices = list[tuple[str, str]]


class TitleForm(forms.ModelForm):
    class Meta:
        model = RecordingSession
        fields = ["title"]
        widgets = {"title": forms.TextInput(attrs={"autocomplete": "off"})}


class LanguageForm(forms.Form):
    """The language in which a recording is transcribed again, after another one was found out."""

    language = forms.ChoiceField(label="Spoken language")

    def __init__(self, job: TranscriptionJob, data: Mapping[str, object] | None = None) -> None:
        # The form with all options has a field of this name, too.
        super().__init__(data, auto_id="found_%s")
        self.fields["language"].choices = _choices(job)  # type: ignore[attr-defined]
        self.job = job

    def options(self) -> JobOptions:
        """Return the options of the new job: those of the first, in the chosen language.

        Raises:
            NotSupported: the site no longer offers what was asked for then.
        """
        earlier = self.job.options
        given = {row.name: getattr(earlier, row.name) for row in offered_at(Door.API)}
        if self.job.kind == JobKind.REFINE:
            # Nobody has chosen these for a second hearing.
            for name in ("priority", "fallback_engine", "fallback_model"):
                del given[name]
        elif not earlier.fallback_engine:
            given["fallback_engine"] = NO_FALLBACK
        return resolve_options(**given | {"language": self.cleaned_data["language"]})


def language_form(job: TranscriptionJob) -> LanguageForm | None:
    """Return the form with which people correct the language of a transcript; None if it was not found out,
    or the engine knows no other one.
    """
    if job.status != JobStatus.COMPLETED or job.language or not job.transcript.detected_language:
        return None
    form = LanguageForm(job)
    return form if form.fields["language"].choices else None  # type: ignore[attr-defined]


def _choices(job: TranscriptionJob) -> list[tuple[str, Choices]]:
    """Return the other languages that the model knows, the likely ones first."""
    try:
        able = capabilities_of(job.engine, job.model)
    except NotSupported:
        return []
    if not able.detects_language:
        return []
    prior = language_prior(job.short_options)
    likely = (prior.allowed or prior.odds.keys()) & able.languages
    groups = {"Likely": likely, "All": able.languages - likely}
    return [
        (title, sorted(((code, language_name(code)) for code in codes), key=lambda choice: choice[1]))
        for title, some in groups.items()
        if (codes := some - {job.transcript.detected_language})
    ]
