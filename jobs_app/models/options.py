"""The table of options. Every way to tell a job how to transcribe is one field of `JobOptions`.

Each field says what the option is called, which values it has, where people and programs can set it, and
where a job stores it. The API, tus, /v1, the pages, the command line, the answers, the fingerprint of a
request and the admin are all made from these rows, so a new option is one more field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum, auto
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from django.db import models

from speech.errors import NotSupported, UnknownLanguage
from speech.sound.tracks.wish import ALL, AUTO
from speech.text.language_tags import read_language

VERSION = 1
"""The version of the stored JSON. It is raised when a key changes its meaning, to recognise older rows."""
MOST_TRACKS = 64
"""The most audio tracks that a file may have. Probing reads no more."""
LONGEST_PROMPT = 2000
MOST_SPEAKERS = 100


class JobPriority(models.TextChoices):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Door(Enum):
    """A place where an option can be set."""

    API = auto()
    """Uploads, recordings, another run of a recording, and the metadata of tus."""
    OPENAI = auto()
    """/v1/, in the words of OpenAI's clients."""
    UPLOAD_PAGE = auto()
    """The upload page, and running a recording again on the page of a job."""
    RECORDER_PAGE = auto()
    COMMAND = auto()
    """`manage.py transcribe`."""
    ACCOUNT_PAGE = auto()
    """The page of an account, for what holds for all new recordings."""


EVERYWHERE = frozenset(Door) - {Door.ACCOUNT_PAGE}
PAGES = frozenset({Door.UPLOAD_PAGE, Door.RECORDER_PAGE})


class Kept(Enum):
    """Where a job stores an option. Each option has one place."""

    COLUMN = auto()
    """A column with the option's name: lists are filtered or ordered by it."""
    JSON = auto()
    """`TranscriptionJob.stored_options`."""
    TEXT = auto()
    """`LongOptions`, a table of its own, because lists of jobs must not load long texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table. `name`, `type`, `optional` and `default` come from the field of JobOptions.

    `label` and `page_help` are for people on pages; `help` is for programs and the command line. `read` turns
    a text as people write it into the value that is stored; it raises NotSupported. `answered_as` and
    `answer_help` are the name and the help in answers of the API, if they differ.
    """

    label: str
    help: str
    page_help: str = ""
    placeholder: str = ""
    doors: frozenset[Door] = EVERYWHERE
    kept: Kept = Kept.JSON
    max_length: int | None = None
    least: int | None = None
    most: int | None = None
    choices: type[models.TextChoices] | None = None
    read: Callable[[str], str] | None = None
    answered_as: str = ""
    answer_help: str = ""

    name: str = ""
    type: type = str
    optional: bool = False
    default: Any = None

    def value(self, given: Any) -> Any:
        """Return the value to store for what was given. An empty value becomes the default.

        Raises:
            NotSupported: there is no such value.
        """
        if given in ("", None):
            return self.default
        if self.read is not None:
            return self.read(given)
        if self.choices is not None and given not in self.choices.values:
            known = ", ".join(self.choices.values)
            raise NotSupported(f"{self.label}: {given!r} is none of {known}.", option=self.name)
        if self.least is not None and self.most is not None and not self.least <= given <= self.most:
            raise NotSupported(
                f"{self.label}: {given} is not from {self.least} to {self.most}. Choose one that is.",
                option=self.name,
            )
        return given


def option(default: Any, **row: Any) -> Any:
    """Return a field of JobOptions with its row of the table. `row` has the fields of Option."""
    return field(default=default, metadata={"option": Option(default=default, **row)})


def _language(wish: str) -> str:
    return read_language(wish).code


def _languages(wishes: str) -> str:
    """Return codes with commas between them, in the order of the alphabet."""
    found = {_known_language(wish) for wish in re.split(r"[,;]", wishes) if wish.strip()}
    return ",".join(sorted(found - {""}))


def _known_language(wish: str) -> str:
    try:
        return read_language(wish).code
    except UnknownLanguage as error:
        raise NotSupported(str(error), option="languages") from error


def _translation(wish: str) -> str:
    try:
        return str(read_language(wish))
    except UnknownLanguage as error:
        raise NotSupported(str(error), option="translate_to") from error


def _track(wish: str) -> str:
    plain = wish.strip().lower() or AUTO
    if plain in (AUTO, ALL):
        return plain
    if not (plain.isascii() and plain.isdecimal() and int(plain) < MOST_TRACKS):
        raise NotSupported(
            f"The audio track is `{AUTO}`, `{ALL}` or a number from 0, and not {wish[:20]!r}.",
            option="audio_track",
        )
    return str(int(plain))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a job is asked to do. Pages show the options in this order.

    As given, an empty engine or model stands for the default. `resolve_options` fills them in, checks them
    against what the engine can do, and turns `language` into a code. After that the options can be given to a
    job.
    """

    language: str = option(
        "",
        label="Spoken language",
        help="A code such as en, pt-BR or zh-Hant, or an English name; empty or `auto`: find out.",
        page_help="Choose it if you know it: the beginning of a recording can mislead the detection.",
        kept=Kept.COLUMN,
        max_length=40,
        read=_language,
    )
    language_wish: str = option(
        "",
        label="Language as it was written",
        help="The language as it was written: en-US, zh-Hant, English. It may name a script as well.",
        doors=frozenset(),
    )
    languages: str = option(
        "",
        label="Languages that may be spoken",
        help="Where `language` is to be found out, only among these, such as `de,en`; empty: any that the "
        "site allows.",
        page_help="With commas, such as German, English. Only among these is the language found out. Empty: "
        "among all.",
        placeholder="German, English",
        doors=frozenset({Door.API, Door.OPENAI, Door.COMMAND, Door.ACCOUNT_PAGE}),
        max_length=400,
        read=_languages,
    )
    likely_languages: str = option(
        "",
        label="Likely languages",
        help="How many times as likely as others some languages are, as was known before the recording was "
        "heard: from the account, the browser, and the last recordings.",
        doors=frozenset(),
    )
    engine: str = option(
        "",
        label="Engine",
        help="What transcribes. Default: the engine of the server's settings.",
        # Under /v1/ the name of a model decides the engine.
        doors=EVERYWHERE - {Door.OPENAI},
        kept=Kept.COLUMN,
        max_length=40,
    )
    model: str = option(
        "",
        label="Model",
        help="One of the engine's models. Default: its first.",
        page_help="Larger models hear better and take longer.",
        doors=EVERYWHERE - {Door.OPENAI},
        kept=Kept.COLUMN,
        max_length=200,
    )
    priority: str = option(
        JobPriority.NORMAL,
        label="Priority",
        help="Which of your waiting recordings come first.",
        page_help="Which of your waiting recordings come first.",
        # A recording comes first anyway, the command runs at once, and OpenAI's API has no such field.
        doors=frozenset({Door.API, Door.UPLOAD_PAGE}),
        kept=Kept.COLUMN,
        choices=JobPriority,
    )
    fallback_engine: str = option(
        "",
        label="Second engine",
        help="Does what the engine fails at for good; `none`: nothing does.",
        answer_help="Does what the engine fails at for good; empty: nothing does.",
        # The command runs in front of a person, who can choose another engine.
        doors=PAGES | {Door.API},
        max_length=40,
    )
    fallback_model: str = option(
        "",
        label="Second model",
        help="The model of `fallback_engine`. Default: its first.",
        answer_help="The model of `fallback_engine`.",
        page_help="Does the parts that the first one fails at for good. Without one, the recording fails.",
        doors=PAGES | {Door.API},
        max_length=200,
    )
    audio_track: str = option(
        AUTO,
        label="Audio tracks",
        help="Of a file with several audio tracks: `auto` (the one labelled with the language, else all in "
        "which somebody speaks), `all`, or a number from 0.",
        page_help="Of files with several, as recorders of calls and films have. By itself: the one labelled "
        "with the spoken language, else all in which somebody speaks.",
        # A recorder sends one track.
        doors=EVERYWHERE - {Door.RECORDER_PAGE},
        read=_track,
    )
    prompt: str = option(
        "",
        label="Hint words",
        help="Names and words that are likely to be heard.",
        page_help="Names and terms that are likely to be heard, so that they are spelt right.",
        placeholder="Ngozi Okafor, Kubernetes, myocarditis",
        kept=Kept.TEXT,
        max_length=LONGEST_PROMPT,
    )
    translate_to: str = option(
        "",
        label="Translate into",
        help="The language to translate into, written as `language` is; empty: as it is spoken.",
        page_help="The language in which the transcript is read.",
        max_length=40,
        read=_translation,
        answered_as="translated_to",
        answer_help="The language of the transcript; empty: as spoken.",
    )
    keep_original: bool = option(
        True,
        label="Keep what was said, beside a translation",
        help="Where the engine translates: hear the recording a second time to keep what was said, too. The "
        "translator keeps it in any case.",
        page_help="Where the model translates, it hears a recording twice for that, which takes longer.",
        # Under /v1/ somebody waits, and the command writes one text.
        doors=PAGES | {Door.API},
    )
    translator: str = option(
        "",
        label="Translator",
        help="The chat model that translates; empty: the engine does, or nobody.",
        doors=frozenset(),
    )
    refine: bool = option(
        True,
        label="Hear it once more afterwards",
        help="Hear a recording that was heard live once more after its end, for a better text.",
        page_help="Words that appear while you speak are heard in short pieces. Afterwards the recording is "
        "heard once more in long ones, for a better text.",
        # Only what is sent while it is spoken is heard live.
        doors=frozenset({Door.API, Door.RECORDER_PAGE}),
    )
    diarize: bool = option(
        False,
        label="Tell speakers apart",
        help="Tell speakers apart, and say in each segment who speaks.",
        page_help="Says who speaks when. Best where each is near a microphone; it takes a little longer.",
        answered_as="with_diarization",
        answer_help="Whether speakers are told apart.",
    )
    num_speakers: int | None = option(
        None,
        label="Number of speakers",
        help="With `diarize`: how many people speak, where that is known. Default: find out.",
        page_help="Where you know it exactly. Empty: found out.",
        least=1,
        most=MOST_SPEAKERS,
    )
    min_speakers: int | None = option(
        None,
        label="At least so many speakers",
        help="With `diarize`: the fewest people who speak. `num_speakers` goes before it.",
        # A page asks for it with the transcript, where it is seen whether too few were found.
        doors=EVERYWHERE - PAGES,
        least=1,
        most=MOST_SPEAKERS,
    )
    max_speakers: int | None = option(
        None,
        label="At most so many speakers",
        help="With `diarize`: the most people who speak. `num_speakers` goes before it.",
        doors=EVERYWHERE - PAGES,
        least=1,
        most=MOST_SPEAKERS,
    )
    speaker_names: str = option(
        "",
        label="Names of the speakers",
        help="With `diarize`: their names in the order in which they first speak, separated by commas.",
        # On a page each voice can be heard before it gets a name.
        doors=frozenset({Door.API, Door.OPENAI}),
        max_length=2000,
    )
    temperature: float | None = option(
        None,
        label="Temperature",
        help="How freely the engine may guess. Default: as it likes.",
        doors=frozenset({Door.API, Door.OPENAI}),
        least=0,
        most=1,
    )
    word_times: bool = option(
        True,
        label="Times of words",
        help="Whether the times of words were asked for. /v1/ asks for them only where its answer needs "
        "them; without them, an engine may give those of segments alone.",
        doors=frozenset(),
    )

    @classmethod
    def from_stored(cls, *stored: Mapping[str, Any]) -> JobOptions:
        """Return the options of a job from its columns, its JSON and its long texts.

        An option that is not stored gets its default: the job is older than the option. A stored key that is
        no option is ignored: a newer release has made the job, and this release does what it can.
        """
        found = {name: value for part in stored for name, value in part.items()}
        rows = options_of(cls)  # type: ignore[arg-type]  # a class can be hashed
        return cls(**{row.name: found[row.name] for row in rows if row.name in found})

    def kept_in(self, place: Kept) -> dict[str, Any]:
        """Return the options that a job stores in `place`, by name."""
        rows = options_of(type(self))  # type: ignore[arg-type]  # as in from_stored()
        return {row.name: getattr(self, row.name) for row in rows if row.kept == place}


@cache
def options_of(kind: type[JobOptions]) -> tuple[Option, ...]:
    """Return the rows of the table, one for each field."""
    hints = get_type_hints(kind)
    return tuple(
        replace(each.metadata["option"], name=each.name, **_type(hints[each.name])) for each in fields(kind)
    )


def _type(hint: Any) -> dict[str, Any]:
    """Return `int | None` as {type: int, optional: True}."""
    alternatives = set(get_args(hint) or (hint,))
    (plain,) = alternatives - {NoneType}
    return {"type": plain, "optional": NoneType in alternatives}


def all_options() -> tuple[Option, ...]:
    return options_of(JobOptions)


def offered_at(*doors: Door) -> Iterable[Option]:
    """Return the options that can be set in at least one of these places."""
    return [row for row in all_options() if not row.doors.isdisjoint(doors)]
