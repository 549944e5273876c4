"""What people fill in on pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.html import escape

from jobs_app.models import JobPriority
from jobs_app.options import (
    NO_FALLBACK,
    JobOptions,
    capabilities_of,
    engine_models,
    provider_of,
    resolve_options,
)
from sessions_app.languages import language_name
from sessions_app.models import RecordingSession
from speech.errors import NotSupported


class OptionsForm(forms.Form):
    """How to transcribe. Its fields are called as in the API, so that the upload script passes them on.

    `engine_model` and `fallback_engine_model` are the exceptions: one list instead of two that depend on each
    other. They are left out where there is no choice. `leaves` is what people must know before they choose.
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
    fallback_engine_model = forms.ChoiceField(
        required=False,
        label="Second model",
        help_text="Does the parts that the first one fails at for good. Without one, the recording fails.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        engines = engine_models()
        offered = [(engine, model) for engine, models in engines.items() for model in models]
        able = [capabilities_of(engine, model) for engine, model in offered]
        codes = {code for one in able for code in one.languages}
        languages = sorted(((code, language_name(code)) for code in codes), key=lambda choice: choice[1])
        self.fields["language"].choices = [("", "Find out by itself"), *languages]
        self.leaves = _leaves_by_itself()
        choices = [
            (_place(engine), [(f"{engine}/{model}", f"{model} ({engine})") for model in models])
            for engine, models in engines.items()
        ]
        if len(engines) == 1:
            del self.fields["fallback_engine_model"]
            choices = [(f"{engine}/{model}", model) for engine, model in offered]
        else:
            nothing = (f"{NO_FALLBACK}/", "None")
            default = ("", f"As usual here ({settings.FALLBACK_ENGINE})")
            no_other = [default, nothing] if settings.FALLBACK_ENGINE else [("", nothing[1])]
            self.fields["fallback_engine_model"].choices = [*no_other, *choices]
            self.fields["engine_model"].help_text += _where_audio_goes()
        self.fields["engine_model"].choices = choices
        if first := engines.get(settings.DEFAULT_ENGINE):
            self.fields["engine_model"].initial = f"{settings.DEFAULT_ENGINE}/{first[0]}"
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
        fallback_engine, _, fallback_model = given.get("fallback_engine_model", "").partition("/")
        return resolve_options(
            engine=engine,
            model=model,
            language=given["language"],
            translate_to="en" if given.get("translate_to") else "",
            prompt=given["prompt"],
            priority=given["priority"],
            fallback_engine=fallback_engine,
            fallback_model=fallback_model,
        )


def _place(engine: str) -> str:
    """The heading of an engine's models."""
    provider = provider_of(engine)
    return f"{engine}: audio is sent to {provider.host}" if provider else f"{engine}: on this server"


def _where_audio_goes() -> str:
    """Of the models that are not on this server. A choice's heading is not seen while its list is closed."""
    servers = ", ".join(
        f"{name} (to {escape(provider.host)})" for name, provider in settings.PROVIDERS.items()
    )
    return f" With these, the audio leaves this server: {servers}." if servers else ""


def _leaves_by_itself() -> str:
    """What is said where audio leaves this server although nobody chooses anything."""
    if provider := settings.PROVIDERS.get(settings.DEFAULT_ENGINE):
        others = "" if len(engine_models()) == 1 else ", unless you choose another model"
        return f"To be transcribed, the audio leaves this server: it is sent to {provider.host}{others}."
    if provider := settings.PROVIDERS.get(settings.FALLBACK_ENGINE):
        return (
            "If the transcription fails on this server, the audio leaves it: what failed is sent to "
            f"{provider.host}, unless you choose otherwise."
        )
    return ""


class TitleForm(forms.ModelForm):
    class Meta:
        model = RecordingSession
        fields = ["title"]
        widgets = {"title": forms.TextInput(attrs={"autocomplete": "off"})}
