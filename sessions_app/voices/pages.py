"""Rename and delete saved voices on the page of the account."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobs_app.lifecycle.known_voices import delete_voice, rename_voice
from jobs_app.models import KnownVoice
from people_app.tokens import person
from rest.refusals import Refusal
from sessions_app.voices.api import VoiceInput


@login_required
@require_POST
def rename(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    user = person(request)
    voice = get_object_or_404(KnownVoice.objects.for_user(user), pk=pk)
    asked = VoiceInput(data={"name": request.POST.get("name", "")})
    if asked.is_valid():
        try:
            rename_voice(user, voice.pk, asked.validated_data["name"])
        except Refusal as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, " ".join(map(str, asked.errors["name"])))
    return _back()


@login_required
@require_POST
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    user = person(request)
    voice = get_object_or_404(KnownVoice.objects.for_user(user), pk=pk)
    delete_voice(user, voice.pk)
    messages.success(request, f"The voice of {voice.name} is deleted. Transcripts keep the name.")
    return _back()


def _back() -> HttpResponse:
    return redirect(f"{reverse('account')}#voices")
