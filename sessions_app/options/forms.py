"""Make the fields of forms from the table of options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypedDict

from django import forms
from django.conf import settings
from django.utils.html import escape

from jobs_app.engines.language_names import language_name
from jobs_app.engines.local_models import label_of
from jobs_app.engines.offered import capabilities_of, engine_models, provider_of, translations_of
from jobs_app.engines.resolving import NO_FALLBACK, script_of
from jobs_app.models.options import Door, JobOptions, Kept, Option, offered_at
from people_app.models import User
from sessions_app.options.defaults import options_for
from sessions_app.options.fields import LanguageChoice, LanguagesField
from speech.engines.providers import Provider
from speech.errors import NotSupported
from speech.sound.tracks.wish import ALL, AUTO
from speech.text.language_tags import read_language

SHOWN_TRACKS = 8
"""A form offers this many audio tracks if the file is not known yet."""
SIDE_BY_SIDE = ("language", "translate_to", "engine_model", "priority")


_Choices = list[tuple[str, str]]
_Groups = list[tuple[str, _Choices]]


class Words(TypedDict):
    """The texts that every field takes from its option."""

    label: str
    help_text: str
    required: bool


class OptionsForm(forms.Form):
    """How to transcribe.

    The fields have the same names as in the API, so that the scripts of the pages can pass them on. The
    exceptions are `engine_model` and `fallback_engine_model`: each is one list instead of two that depend on
    each other. A field with only one choice is left out, as `audio_track` is if `tracks` is 1. `leaves` is a
    sentence that people must read before they choose: it says that audio leaves this server, and is empty if
    it does not. `accept_language` is the header of the request.
    """

    def __init__(
        self,
        data: Mapping[str, object] | None = None,
        *,
        user: User,
        doors: Collection[Door] = (Door.UPLOAD_PAGE,),
        tracks: int = SHOWN_TRACKS,
        initial: dict[str, object] | None = None,
        prefix: str | None = None,
        accept_language: str = "",
    ) -> None:
        super().__init__(data, initial=_preferred(user) if initial is None else initial, prefix=prefix)
        self.user = user
        self.accept_language = accept_language
        self.leaves = _leaves_by_itself()
        for row in offered_at(*doors):
            self.fields |= _page_fields(row, tracks)

    @property
    def side_by_side(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in SIDE_BY_SIDE]

    @property
    def below(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in SIDE_BY_SIDE]

    def clean(self) -> dict[str, object]:
        super().clean()
        if not self.errors:
            try:
                self.options()
            except NotSupported as error:
                self.add_error(None, str(error))
        return self.cleaned_data

    def options(self) -> JobOptions:
        """Return the options of the job. Call it only on valid data."""
        return options_for(self.user, self.given(), self.accept_language)

    def given(self) -> dict[str, object]:
        """Return the chosen values by the names of the options."""
        return _by_option(self.cleaned_data)

    def differing(self) -> dict[str, object]:
        """Return only those chosen values that differ from the defaults of the site."""
        fields = [
            name for name, field in self.fields.items() if field.has_changed(field.initial, self[name].data)
        ]
        return _by_option({name: self.cleaned_data[name] for name in fields})


def _by_option(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return values of options from values of fields. A field that lists models stands for two options."""
    given: dict[str, Any] = {}
    for name, value in chosen.items():
        if name.endswith("engine_model"):
            engine = name.removesuffix("_model")
            given[engine], _, given[engine.replace("engine", "model")] = value.partition("/")
        else:
            given[name] = value
    return given


def _preferred(user: User) -> dict[str, object]:
    """Return what a form shows at first to a person, from the options that they prefer."""
    shown = dict(user.job_defaults)
    for engine, model, field in (
        ("engine", "model", "engine_model"),
        ("fallback_engine", "fallback_model", "fallback_engine_model"),
    ):
        if engine in shown or model in shown:
            name = shown.get(engine) or settings.DEFAULT_ENGINE
            first = engine_models().get(name, [""])[0]
            shown[field] = f"{name}/{shown.get(model) or first}"
    if "language" in shown:
        shown["language"] = str(read_language(shown["language"]))
    if "translate_to" in shown:
        shown["translate_to"] = str(read_language(shown["translate_to"]))
    return shown


def initial_of(wanted: JobOptions) -> dict[str, object]:
    """Return what an OptionsForm shows at first if it starts with the options of a job."""
    script = script_of(wanted)
    shown = {row.name: getattr(wanted, row.name) for row in offered_at(Door.UPLOAD_PAGE)}
    return shown | {
        "language": f"{wanted.language}-{script}" if script else wanted.language,
        "engine_model": f"{wanted.engine}/{wanted.model}",
        "fallback_engine_model": f"{wanted.fallback_engine or NO_FALLBACK}/{wanted.fallback_model}",
    }


def _page_fields(row: Option, tracks: int) -> dict[str, forms.Field]:
    """Return the field of an option by its name.

    The result is empty if there is only one choice, or if another field covers this option, too.
    """
    text: Words = {"label": row.label, "help_text": row.page_help, "required": False}
    match row.name:
        case "language":
            return {"language": LanguageChoice(choices=_languages(), **text)}
        case "engine" | "fallback_engine":
            return {}
        case "model":
            return _model_field(text)
        case "fallback_model":
            return _fallback_field(text)
        case "audio_track":
            return _track_field(row, text, tracks)
        case "translate_to":
            return _translation_field(text)
        case "keep_original" if settings.TRANSLATOR or not any(translations_of(*one) for one in _offered()):
            return {}
        case "refine" if not settings.LIVE_REFINE:
            return {}
    return {row.name: _plain_field(row, text)}


def _plain_field(row: Option, text: Words) -> forms.Field:
    if row.choices is not None:
        return forms.ChoiceField(choices=row.choices.choices, initial=row.default, **text)
    if row.type is bool:
        # A browser sends nothing for a box that is not ticked; the scripts of the pages send "false".
        return forms.BooleanField(
            initial=row.default, widget=forms.CheckboxInput(attrs={"value": "true"}), **text
        )
    if row.type in (int, float):
        number = forms.IntegerField if row.type is int else forms.FloatField
        return number(min_value=row.least, max_value=row.most, initial=row.default, **text)
    if row.name == "languages":
        return LanguagesField(widget=forms.TextInput(attrs={"placeholder": row.placeholder}), **text)
    if row.kept is Kept.TEXT:
        hint = {"rows": 2, "placeholder": row.placeholder}
        return forms.CharField(max_length=row.max_length, widget=forms.Textarea(attrs=hint), **text)
    return forms.CharField(max_length=row.max_length, initial=row.default, **text)


def _offered() -> list[tuple[str, str]]:
    return [(engine, model) for engine, models in engine_models().items() for model in models]


def _languages() -> list[tuple[str, str]]:
    codes = {code for one in _offered() for code in capabilities_of(*one).languages}
    codes |= {f"{code}-{script}" for code in codes & {"zh"} for script in ("Hans", "Hant")}
    return [("", "Find out by itself"), *_named(codes)]


def _translation_field(text: Words) -> dict[str, forms.Field]:
    codes = {code for one in _offered() for code in translations_of(*one)}
    codes |= {f"{code}-{script}" for code in codes & {"zh"} for script in ("Hans", "Hant")}
    if settings.TRANSLATOR:
        text = text | {"help_text": f"{text['help_text']} {_where_text_goes(settings.TRANSLATOR)}"}
    if not codes:
        return {}
    return {"translate_to": LanguageChoice(choices=[("", "As it is spoken"), *_named(codes)], **text)}


def _named(codes: Iterable[str]) -> _Choices:
    return sorted(((code, language_name(code)) for code in codes), key=lambda choice: choice[1])


def _where_text_goes(translator: Provider) -> str:
    return f"To be translated, the text leaves this server: it is sent to {escape(translator.host)}."


def _model_field(text: Words) -> dict[str, forms.Field]:
    engines, offered = engine_models(), _offered()
    if len(offered) == 1:
        return {}
    choices: _Choices | _Groups = [(f"{engine}/{model}", _label(engine, model)) for engine, model in offered]
    if len(engines) > 1:
        choices = _models_by_engine()
        text = text | {"help_text": text["help_text"] + _where_audio_goes()}
    first = engines.get(settings.DEFAULT_ENGINE)
    initial = f"{settings.DEFAULT_ENGINE}/{first[0]}" if first else None
    return {"engine_model": forms.ChoiceField(choices=choices, initial=initial, **text)}


def _fallback_field(text: Words) -> dict[str, forms.Field]:
    if len(engine_models()) == 1:
        return {}
    nothing = (f"{NO_FALLBACK}/", "None")
    default = ("", f"As usual here ({settings.FALLBACK_ENGINE})")
    no_other = [default, nothing] if settings.FALLBACK_ENGINE else [("", nothing[1])]
    return {"fallback_engine_model": forms.ChoiceField(choices=[*no_other, *_models_by_engine()], **text)}


def _track_field(row: Option, text: Words, tracks: int) -> dict[str, forms.Field]:
    if tracks == 1:
        return {}
    only = [(str(number), f"Only track {number}") for number in range(tracks)]
    only[0] = ("0", "Only track 0, the first")
    choices = [(AUTO, "Find out by itself"), (ALL, "All of them together"), *only]
    return {"audio_track": forms.ChoiceField(choices=choices, initial=row.default, **text)}


def _models_by_engine() -> _Groups:
    return [
        (_place(engine), [(f"{engine}/{model}", _label(engine, model)) for model in models])
        for engine, models in engine_models().items()
    ]


def _label(engine: str, model: str) -> str:
    """Return what people read: a word such as "Faster" for models that are known, and the name.

    If the model knows only one language, that is there, too.
    """
    if engine == "local":
        return label_of(model)
    languages = capabilities_of(engine, model).languages
    only = f", {language_name(*languages)} only" if len(languages) == 1 else ""
    return f"{model} ({engine}){only}"


def _place(engine: str) -> str:
    """Return the heading above the models of an engine."""
    provider = provider_of(engine)
    return f"{engine}: audio is sent to {provider.host}" if provider else f"{engine}: on this server"


def _where_audio_goes() -> str:
    """Return a sentence about the models that are not on this server.

    The headings of the list say it, too, but nobody sees them while the list is closed.
    """
    servers = ", ".join(
        f"{name} (to {escape(provider.host)})" for name, provider in settings.PROVIDERS.items()
    )
    return f" With these, the audio leaves this server: {servers}." if servers else ""


def _leaves_by_itself() -> str:
    """Return the sentence for sites where audio leaves this server although nobody chooses that."""
    if provider := settings.PROVIDERS.get(settings.DEFAULT_ENGINE):
        others = "" if len(engine_models()) == 1 else ", unless you choose another model"
        return f"To be transcribed, the audio leaves this server: it is sent to {provider.host}{others}."
    if provider := settings.PROVIDERS.get(settings.FALLBACK_ENGINE):
        return (
            "If the transcription fails on this server, the audio leaves it: what failed is sent to "
            f"{provider.host}, unless you choose otherwise."
        )
    return ""
