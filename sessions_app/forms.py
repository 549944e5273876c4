"""What people fill in on pages."""

from __future__ import annotations

from typing import Any

from django import forms

from jobs_app.models import JobPriority
from jobs_app.options import JobOptions, engine_models, resolve_options
from sessions_app.languages import language_name
from sessions_app.models import RecordingSession
from speech.engines import capabilities
from speech.errors import NotSupported


class OptionsForm(forms.Form):
    """How to transcribe. Its fields are called as in the API, so that the upload script passes them on.

    `engine_model` is the exception: one list instead of two that depend on each other. It is left out
    where there is no choice.
    """

    language = forms.ChoiceField(
        required=False,
        label="Spoken language",
        help_text="Choose it if you know it: the beginning of a recording can mislead the detection.",
    )
    engine_model = forms.ChoiceField(
        required=False, label="Model", help_text="Larger models hear better and take longer."
    )
    translate_to = forms.BooleanField(
        required=False, label="Translate into English", widget=forms.CheckboxInput(attrs={"value": "en"})
    )
    prompt = forms.CharField(
        required=False,
        max_length=2000,
        label="Hint words",
        help_text="Names and terms that are likely to be heard, so that they are spelt right.",
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "Ngozi Okafor, Kubernetes, myocarditis"}),
    )
    priority = forms.ChoiceField(
        required=False,
        choices=[(p.value, p.label) for p in JobPriority],
        initial=JobPriority.NORMAL,
        label="Priority",
        help_text="Which of your waiting recordings come first.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(engine, model) for engine, models in engine_models().items() for model in models]
        able = [capabilities(engine, model) for engine, model in offered]
        codes = {code for one in able for code in one.languages}
        languages = sorted(((code, language_name(code)) for code in codes), key=lambda choice: choice[1])
        self.fields["language"].choices = [("", "Find out by itself"), *languages]
        several_engines = len({engine for engine, _ in offered}) > 1
        self.fields["engine_model"].choices = [
            (f"{engine}/{model}", f"{model} ({engine})" if several_engines else model)
            for engine, model in offered
        ]
        if len(offered) == 1:
            del self.fields["engine_model"]
        if not any("en" in one.translates_to for one in able):
            del self.fields["translate_to"]

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors:
            try:
                self.options()
            except NotSupported as error:
                self.add_error(None, str(error))
        return self.cleaned_data

    def options(self) -> JobOptions:
        """Call it on valid data."""
        given = self.cleaned_data
        engine, _, model = given.get("engine_model", "").partition("/")
        return resolve_options(
            engine=engine,
            model=model,
            language=given["language"],
            translate_to="en" if given.get("translate_to") else "",
            prompt=given["prompt"],
            priority=given["priority"],
        )


class TitleForm(forms.ModelForm):
    class Meta:
        model = RecordingSession
        fields = ["title"]
        widgets = {"title": forms.TextInput(attrs={"autocomplete": "off"})}
