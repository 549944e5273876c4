"""Transcribe a recording again in another language than the one that was found out."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from rest.throttling import UploadThrottle, allows
from sessions_app.pages.forms import LanguageForm, language_form
from sessions_app.pages.job import find_job, job_page
from sessions_app.pages.recording import TOO_MANY, start_again
from speech.errors import NotSupported


@login_required
@require_POST
def again_in_language(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Transcribe the recording once more, with the same options and in the language that people choose."""
    job = find_job(request, pk, "transcript__texts")
    if language_form(job) is None:
        messages.info(
            request, "The language of this transcript was not found out, so it cannot be corrected."
        )
        return redirect("job", job.pk)
    form = LanguageForm(job, request.POST)
    if not form.is_valid():
        return job_page(request, job, wrong_language=form, status=422)
    try:
        options = form.options()
    except NotSupported as error:
        form.add_error(None, str(error))
        return job_page(request, job, wrong_language=form, status=422)
    if not allows(UploadThrottle(), request):
        form.add_error(None, TOO_MANY)
        return job_page(request, job, wrong_language=form, status=429)
    return start_again(request, job, options)
