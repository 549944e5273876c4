"""Voices that people save under names, and what they say to a name that is suggested for a speaker.

Each function is one short transaction, or part of one. It locks, as far as it needs them, the person, then
the job, then the voice.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from jobs_app.lifecycle.carrying import tidy_name
from jobs_app.lifecycle.naming import find_speaker, lock_told, rename_speaker
from jobs_app.models import KnownVoice, KnownVoiceSample, Speaker, SpeakerVoice, VoiceSuggestion
from jobs_app.models.known_voices import LEAST_SAVED_MS
from people_app.models import User
from rest.refusals import Invalid, NotReady, Refusal
from speech.text.phrases import compared_form


class VoicesOff(Refusal):
    """The person has not turned known voices on, or the site has turned them off."""

    status = 409
    code = "voices_off"
    sentence = (
        "Known voices are off. Turn them on in your account, or with `known_voices` at `/api/preferences/`."
    )


class TooLittleVoice(Refusal):
    """The voice is heard alone for too short a time."""

    status = 422
    code = "too_little_voice"
    sentence = (
        f"This voice is heard alone for less than {LEAST_SAVED_MS // 1000} seconds. Save it from a recording "
        "in which this person says more."
    )


class NoSuchVoice(Refusal):
    """The person has no voice with this id."""

    status = 422
    code = "no_such_voice"
    sentence = "You have no saved voice with this id. Take one of `/api/voices/`."


def are_on(user: User) -> bool:
    """Return whether voices are saved and suggested for this person."""
    return settings.KNOWN_VOICES and user.known_voices


def check_on(user: User) -> None:
    """Raise VoicesOff if voices are neither saved nor suggested for this person."""
    if not settings.KNOWN_VOICES:
        raise VoicesOff("Known voices are turned off on this site. Ask its administrator.")
    if not user.known_voices:
        raise VoicesOff


@transaction.atomic
def save_voice(owner: User, job_id: uuid.UUID, label: str, name: str) -> tuple[KnownVoice, bool]:
    """Save the voice of a speaker under a name; an empty name means the one that the speaker has.

    The caller has found the job among those of the owner. Return the voice, and whether it is new. A voice
    that the owner has under this name gets one more sample, in place of the one that it has of this job.
    A speaker without a name gets it.

    Raises:
        VoicesOff: the owner has not turned them on.
        NotReady: nobody is told apart in this transcript, or nothing was kept of the voice.
        NoSuchSpeaker: it has no speaker with this label.
        TooLittleVoice: the voice is heard alone for too short a time.
        Invalid: there is no name, or the owner has too many voices.
    """
    owner = _lock_person(owner)
    check_on(owner)
    job = lock_told(job_id)
    speaker = find_speaker(job, label)
    speaker = speaker.merged_into or speaker
    heard = _longest_of(speaker)
    name = _checked(name or speaker.name)
    voice = _named(owner, name)
    if is_new := voice is None:
        if owner.saved_voices.count() >= settings.MAX_VOICES:
            raise Invalid({"name": [f"One person can save {settings.MAX_VOICES} voices. Delete one first."]})
        voice = KnownVoice.objects.create(owner=owner, name=name)
    assert voice is not None  # noqa: S101  mypy does not follow `is_new`
    KnownVoiceSample.objects.update_or_create(
        voice=voice,
        job=job,
        defaults={"packed": heard.packed, "clean_ms": heard.clean_ms, "saved_at": Now()},
    )
    newest = list(voice.samples.order_by("-saved_at", "-pk").values_list("pk", flat=True))
    voice.samples.filter(pk__in=newest[settings.MAX_VOICE_SAMPLES :]).delete()
    # Whoever saves a voice here has said who it is.
    job.voice_suggestions.filter(voice=voice).delete()
    if not speaker.name:
        rename_speaker(job.pk, speaker.label, voice.name)
    return voice, is_new


def _longest_of(speaker: Speaker) -> SpeakerVoice:
    """Return the voice of a speaker, or that of one who was merged into it, if more is heard of that one."""
    voices = SpeakerVoice.objects.filter(speaker__in=[speaker, *speaker.merged.all()])
    heard = voices.order_by("-clean_ms").first()
    if heard is None:
        raise NotReady("Nothing was kept of this voice. Have the speakers told apart anew, then save it.")
    if heard.clean_ms < LEAST_SAVED_MS:
        raise TooLittleVoice
    return heard


@transaction.atomic
def rename_voice(owner: User, voice_id: uuid.UUID, name: str) -> None:
    """Give a voice another name. Transcripts keep the names that they have.

    Raises:
        Invalid: there is no name, or the owner has another voice of this name.
    """
    _lock_person(owner)
    name = _checked(name)
    same = _named(owner, name)
    if same is not None and same.pk != voice_id:
        raise Invalid({"name": ["You have a voice of this name already. Choose another name."]})
    KnownVoice.objects.for_user(owner).filter(pk=voice_id).update(name=name)


@transaction.atomic
def delete_voice(owner: User, voice_id: uuid.UUID) -> None:
    """Delete a voice with its samples and suggestions. Transcripts keep the name."""
    _lock_person(owner)
    # A worker that is about to suggest the voice waits for this lock, and then finds that it is gone.
    voice = KnownVoice.objects.for_user(owner).select_for_update().filter(pk=voice_id).first()
    if voice is not None:
        voice.delete()


@transaction.atomic
def confirm_voice(owner: User, job_id: uuid.UUID, label: str, voice_id: uuid.UUID) -> None:
    """Give a speaker the name of a voice of the owner's.

    Raises:
        VoicesOff: the owner has not turned them on.
        NotReady: nobody is told apart in this transcript.
        NoSuchSpeaker: it has no speaker with this label.
        NoSuchVoice: the owner has no such voice.
    """
    check_on(owner)
    find_speaker(lock_told(job_id), label)
    rename_speaker(job_id, label, _own(owner, voice_id).name)


@transaction.atomic
def reject_voice(owner: User, job_id: uuid.UUID, label: str, voice_id: uuid.UUID) -> None:
    """Never suggest a voice of the owner's in this job again.

    Raises:
        VoicesOff: the owner has not turned them on.
        NotReady: nobody is told apart in this transcript.
        NoSuchSpeaker: it has no speaker with this label.
        NoSuchVoice: the owner has no such voice.
    """
    check_on(owner)
    job = lock_told(job_id)
    find_speaker(job, label)
    VoiceSuggestion.objects.update_or_create(
        job=job, voice=_own(owner, voice_id), defaults={"label": label, "rejected": True}
    )


def _lock_person(owner: User) -> User:
    """Lock a person, so that no other request changes their voices, and return the row as it is now."""
    return User.objects.select_for_update(no_key=True).get(pk=owner.pk)


def _named(owner: User, name: str) -> KnownVoice | None:
    key = compared_form(name)
    return next((one for one in KnownVoice.objects.for_user(owner) if compared_form(one.name) == key), None)


def _own(owner: User, voice_id: uuid.UUID) -> KnownVoice:
    voice = KnownVoice.objects.for_user(owner).select_for_update().filter(pk=voice_id).first()
    if voice is None:
        raise NoSuchVoice
    return voice


def _checked(name: str) -> str:
    name = tidy_name(name)
    if not name:
        raise Invalid({"name": ["Say whose voice this is."]})
    return name
