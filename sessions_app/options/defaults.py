"""Fill in the options that a request leaves out from what the person prefers."""

from __future__ import annotations

from collections.abc import Mapping

from jobs_app.engines.resolving import resolve_options
from jobs_app.models.options import JobOptions
from people_app.models import User
from sessions_app.options.known import known_languages
from speech.errors import NotSupported

TOGETHER = (
    {"engine", "model"},
    {"fallback_engine", "fallback_model"},
    {"num_speakers", "min_speakers", "max_speakers"},
)
"""Options that depend on each other: a model belongs to its engine. If a request names one, no preference
fills in the others.
"""


def options_for(user: User, given: Mapping[str, object], accept_language: str = "") -> JobOptions:
    """Return the options of a job: those that its request names, and preferences for the rest.

    An option that the request names with an empty value counts as named. A preferred model that the site no
    longer offers is left out. If the other preferences do not fit the request, it counts alone: nobody asked
    for the preferences in it. But if it names a model that knows none of the languages that the person
    allows, it is refused. `accept_language` is the header of the request.

    Raises:
        NotSupported: the request asks for something that the engine cannot do or the site does not have.
    """
    named = {name for group in TOGETHER if group & given.keys() for name in group}
    preferred = {name: value for name, value in user.job_defaults.items() if name not in named}
    known = known_languages(user, accept_language)
    try:
        return resolve_options(**known, **{**preferred, **given})
    except NotSupported:
        preferred = still_offered(preferred)
    try:
        return resolve_options(**known, **{**preferred, **given})
    except NotSupported:
        names_model = not given.keys().isdisjoint(TOGETHER[0])
        allowed = {"languages": preferred["languages"]} if names_model and "languages" in preferred else {}
        return resolve_options(**known, **{**allowed, **given})


def still_offered(preferred: Mapping[str, object]) -> dict[str, object]:
    """Return preferences without the engines and models that the site does not offer any more."""
    offered = dict(preferred)
    for group in TOGETHER[:2]:
        try:
            resolve_options(**{name: value for name, value in offered.items() if name in TOGETHER[0] | group})
        except NotSupported:
            offered = {name: value for name, value in offered.items() if name not in group}
    return offered
