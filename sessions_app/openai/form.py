"""Put the form of a request under /v1/ into one spelling, because clients write it in many ways."""

from __future__ import annotations

import json
import re

from django.http import QueryDict

from rest.refusals import Unsupported

GRANULARITIES = "timestamp_granularities[]"
NAMES = "known_speaker_names[]"
REFERENCES = "known_speaker_references[]"
LISTS = (GRANULARITIES, "keywords[]", "languages[]", NAMES, REFERENCES)

# Clients write `name`, `name[]`, or `name[0]` as PHP and axios do.
_NAME = re.compile(r"(?P<name>[a-z_]+)(\[[0-9]{0,3}\])?")


class NoReferences(Unsupported):
    sentence = (
        "Speakers are not known by samples of their voices here. Leave these out: `known_speaker_names[]` "
        "alone name the speakers in the order in which they begin."
    )
    param = REFERENCES


def normalised(given: QueryDict) -> QueryDict:
    """Return the fields of `given` as OpenAI's own clients write them.

    The names of lists may have brackets or not, and numbers in the brackets. A list may also be one value:
    `["a","b"]` or `a,b`. Fields that only some answers need are left out for other answers, even if their
    values are wrong. `keywords[]` are added to `prompt`. If `languages[]` has one value, it becomes
    `language`. `known_speaker_names[]` become `speaker_names`.

    Raises:
        NoReferences: the form has samples of voices.
    """
    form = QueryDict(mutable=True)
    for name, values in given.lists():
        form.setlist(name, values)
    for name in LISTS:
        _gather(form, name)
    if form.get("response_format") != "verbose_json":
        # No other answer has times.
        form.pop(GRANULARITIES, None)
    if keywords := form.getlist("keywords[]"):
        form["prompt"] = ", ".join([*filter(None, [form.get("prompt", "").strip()]), *keywords])
    languages = form.getlist("languages[]")
    if len(languages) == 1 and not form.get("language"):
        form["language"] = languages[0]
    if form.get("response_format") == "diarized_json" and REFERENCES in form:
        raise NoReferences
    if names := form.getlist(NAMES):
        form["speaker_names"] = ", ".join(names)
    return form


def _gather(form: QueryDict, name: str) -> None:
    """Collect the values of a list under one name, no matter how the client spells the name."""
    plain = name.removesuffix("[]")
    names = [key for key in form if (found := _NAME.fullmatch(key)) and found["name"] == plain]
    given = [value for key in names for text in form.getlist(key) for value in _values(text)]
    for key in names:
        del form[key]
    if given:
        form.setlist(name, given)


def _values(text: object) -> list[str]:
    if not isinstance(text, str):
        # A file under this name has no value that could be read.
        return []
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = [text]
        return [str(value).strip() for value in found if str(value).strip()]
    return [value.strip() for value in text.split(",") if value.strip()]
