"""Turn what somebody asked for into the options of a job: fill in defaults, and check them against the
engine.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from django.conf import settings

from jobs_app.engines.local_models import require_offered
from jobs_app.engines.offered import capabilities_of, engine_models
from jobs_app.models.options import JobOptions, all_options
from speech.engines import check_options
from speech.engines.base import TranscribeOptions
from speech.errors import NotSupported
from speech.languages.prior import LanguagePrior, read_odds
from speech.sound.tracks.wish import TrackWish
from speech.text.language_tags import Script, language_code, read_language

NO_FALLBACK = "none"
"""As a `fallback_engine`, this means no fallback at all, not even that of the settings."""


def resolve_options(**given: Any) -> JobOptions:
    """Return the options of a job from those that were given by name. Empty ones get their defaults.

    Raises:
        NotSupported: the engine, model or fallback is not offered here, or cannot do what is asked.
        UnknownLanguage: there is no such language.
    """
    rows = {row.name: row for row in all_options()}
    values = {name: rows[name].value(value) for name, value in given.items()}
    translator = settings.TRANSLATOR.models[0] if settings.TRANSLATOR and values.get("translate_to") else ""
    asked = JobOptions(**values, language_wish=given.get("language", "").strip(), translator=translator)
    engine, model = _offered(asked.engine or settings.DEFAULT_ENGINE, asked.model)
    _check_able(engine, model, asked)
    check_count(asked.min_speakers, asked.max_speakers)
    # A fallback without the hints is better than none.
    hintless = replace(asked, prompt="")
    if asked.fallback_engine or asked.fallback_model:
        fallback = _chosen_fallback(hintless)
        if fallback == (engine, model):
            raise NotSupported("The fallback is the engine itself. Choose another one, or another model.")
    else:
        fallback = _default_fallback(engine, model, hintless)
    return replace(asked, engine=engine, model=model, fallback_engine=fallback[0], fallback_model=fallback[1])


def check_count(at_least: int | None, at_most: int | None) -> None:
    """Check what is said of the number of speakers.

    Raises:
        NotSupported: the numbers contradict each other.
    """
    if at_least is not None and at_most is not None and at_least > at_most:
        raise NotSupported(
            f"`min_speakers` is {at_least}, and `max_speakers` only {at_most}.", option="min_speakers"
        )


def hears_twice(wanted: JobOptions) -> bool:
    """Return whether the engine hears each window twice: what is said, and its translation."""
    return bool(wanted.translate_to) and not wanted.translator and wanted.keep_original


def transcribe_options(wanted: JobOptions) -> TranscribeOptions:
    """Return what the engine is asked of each window: those options that the engine knows, too."""
    same = {each.name for each in fields(TranscribeOptions)} - {"prior"}
    options = TranscribeOptions(
        **{name: getattr(wanted, name) for name in same}, prior=language_prior(wanted)
    )
    return replace(options, translate_to="") if wanted.translator or hears_twice(wanted) else options


def language_prior(wanted: JobOptions) -> LanguagePrior:
    """Return what is known of the language of a job before it is heard.

    If the site allows none of the languages that its person allows, those of the site count.
    """
    site = frozenset(settings.LANGUAGES_ALLOWED)
    own = frozenset(filter(None, wanted.languages.split(",")))
    allowed = (own & site or site) if own and site else own or site
    return LanguagePrior(allowed=allowed, odds=read_odds(wanted.likely_languages))


def script_of(wanted: JobOptions) -> Script:
    """Return the Chinese script for the transcript; '' means as the engine writes it."""
    translated = wanted.translate_to and not (wanted.translator or wanted.keep_original)
    return "" if translated else read_language(wanted.language_wish).script


def track_wish(wanted: JobOptions) -> TrackWish:
    """Return which audio tracks of its files a job hears."""
    return TrackWish(
        track=wanted.audio_track,
        language=language_code(wanted.language),
        most=settings.MAX_AUDIO_TRACKS,
    )


def _offered(engine: str, model: str) -> tuple[str, str]:
    """Return the engine and its model. An empty model becomes the engine's first one."""
    offered = engine_models()
    if engine not in offered:
        raise NotSupported(f"There is no engine {engine!r} here. Choose one of: {', '.join(offered)}.")
    model = model or offered[engine][0]
    if engine == "local":
        require_offered(model)
    elif model not in offered[engine]:
        raise NotSupported(
            f"The engine {engine!r} has no model {model!r} here. Choose one of: {', '.join(offered[engine])}."
        )
    return engine, model


def _check_able(engine: str, model: str, wanted: JobOptions) -> None:
    able = capabilities_of(engine, model)
    if wanted.prompt and not able.prompt:
        raise NotSupported(
            f"The model {model!r} takes no hint words. Leave `prompt` out or choose another model."
        )
    asked = transcribe_options(wanted)
    check_options(able, replace(asked, translate_to=wanted.translate_to) if hears_twice(wanted) else asked)


def _chosen_fallback(wanted: JobOptions) -> tuple[str, str]:
    engine, model = wanted.fallback_engine, wanted.fallback_model
    if engine == NO_FALLBACK and not model:
        return "", ""
    if engine in ("", NO_FALLBACK):
        raise NotSupported("A `fallback_model` needs its `fallback_engine` beside it.")
    fallback = _offered(engine, model)
    _check_able(*fallback, wanted)
    return fallback


def _default_fallback(engine: str, model: str, wanted: JobOptions) -> tuple[str, str]:
    """Return the fallback of the settings; none if it is the engine itself or cannot do what is asked."""
    if not settings.FALLBACK_ENGINE:
        return "", ""
    fallback = _offered(settings.FALLBACK_ENGINE, settings.FALLBACK_MODEL)
    try:
        _check_able(*fallback, wanted)
    except NotSupported:
        return "", ""
    return fallback if fallback != (engine, model) else ("", "")
