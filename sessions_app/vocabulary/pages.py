"""The pages of a person's corrections and target words."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs_app.models import TranscriptionJob
from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.vocabulary.vocabulary import vocabulary_of
from jobs_app.work.correcting import Outcome, apply_again
from people_app.tokens import person
from sessions_app.vocabulary.csv_files import Import, import_corrections, import_target_lists
from sessions_app.vocabulary.forms import CorrectionForm, ImportForm, TargetListForm, TryForm
from sessions_app.vocabulary.lists import Refused, save_correction, save_target_list


@login_required
@require_safe
def vocabulary(request: HttpRequest) -> HttpResponse:
    return vocabulary_page(request)


def vocabulary_page(request: HttpRequest, *, status: int = 200, **parts: object) -> HttpResponse:
    """Render the page. `parts` are forms that were sent, and the result of the form that tries out a text."""
    page = {
        "corrections": Correction.objects.for_user(person(request)),
        "target_lists": TargetList.objects.for_user(person(request)),
        "correction_form": CorrectionForm(auto_id="correction_%s"),
        "corrections_import": ImportForm(auto_id="corrections_import_%s"),
        "lists_import": ImportForm(auto_id="lists_import_%s"),
        "try_form": TryForm(auto_id="try_%s"),
        **parts,
    }
    return render(request, "vocabulary/page.html", page, status=status)


def stored(
    form: CorrectionForm | TargetListForm,
    save: Callable[[Correction], None] | Callable[[TargetList], None],
) -> bool:
    """Store the instance of a form, and return whether that worked.

    If the instance is refused, the form now says why.
    """
    if not form.is_valid():
        return False
    try:
        save(form.instance)
    except Refused as refused:
        form.add_error(refused.field, list(refused.errors))
        return False
    return True


@login_required
@require_POST
def try_out(request: HttpRequest) -> HttpResponse:
    """Correct a text and count its words, and store nothing of it."""
    form = TryForm(request.POST, auto_id="try_%s")
    if not form.is_valid():
        return vocabulary_page(request, try_form=form, status=422)
    mine = vocabulary_of(person(request).pk)
    corrected = mine.corrector.correct_text(form.cleaned_data["text"])
    counts = mine.count(corrected) if mine.targets else {}
    result = {"text": corrected, "changed": corrected != form.cleaned_data["text"], "counts": counts.items()}
    return vocabulary_page(request, try_form=form, tried=result)


# --- Corrections ---------------------------------------------------------------------------------


@login_required
@require_POST
def add_correction(request: HttpRequest) -> HttpResponse:
    form = CorrectionForm(request.POST, instance=Correction(owner=person(request)), auto_id="correction_%s")
    if not stored(form, save_correction):
        return vocabulary_page(request, correction_form=form, status=422)
    messages.success(request, f"{form.instance} is added. It is used in new transcripts from now on.")
    return redirect("vocabulary")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_correction(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    correction = get_object_or_404(Correction.objects.for_user(person(request)), pk=pk)
    form = CorrectionForm(request.POST if request.method == "POST" else None, instance=correction)
    if request.method == "POST" and stored(form, save_correction):
        messages.success(request, f"{correction} is saved.")
        return redirect("vocabulary")
    page = {"form": form, "correction": correction}
    return render(request, "vocabulary/correction.html", page, status=422 if form.errors else 200)


@login_required
@require_POST
def delete_correction(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    correction = get_object_or_404(Correction.objects.for_user(person(request)), pk=pk)
    correction.delete()
    messages.success(request, f"{correction} is deleted. Transcripts that it was used in stay as they are.")
    return redirect("vocabulary")


# --- Target lists --------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_list(request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponse:
    """Change the list `pk`, or make a new list if no `pk` is given."""
    if pk:
        target_list = get_object_or_404(TargetList.objects.for_user(person(request)), pk=pk)
    else:
        target_list = TargetList(owner=person(request))
    title = target_list.name
    form = TargetListForm(request.POST if request.method == "POST" else None, instance=target_list)
    if request.method == "POST" and stored(form, save_target_list):
        messages.success(request, f"“{target_list}” is saved.")
        return redirect("vocabulary")
    page = {"form": form, "pk": pk, "title": title}
    return render(request, "vocabulary/list.html", page, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_list(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask whether to delete the list, then delete it."""
    target_list = get_object_or_404(TargetList.objects.for_user(person(request)), pk=pk)
    if request.method == "POST":
        target_list.delete()
        messages.success(request, f"“{target_list}” is deleted.")
        return redirect("vocabulary")
    return render(request, "vocabulary/delete_list.html", {"target_list": target_list})


# --- CSV -----------------------------------------------------------------------------------------


@login_required
@require_POST
def import_corrections_file(request: HttpRequest) -> HttpResponse:
    return import_file(request, "corrections_import", import_corrections)


@login_required
@require_POST
def import_lists_file(request: HttpRequest) -> HttpResponse:
    return import_file(request, "lists_import", import_target_lists)


def import_file(request: HttpRequest, name: str, store: Import) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES, auto_id=f"{name}_%s")
    if form.is_valid():
        try:
            n = store(
                person(request), form.cleaned_data["file"], replace=form.cleaned_data["mode"] == "replace"
            )
        except Refused as refused:
            form.add_error("file", list(refused.errors))
        else:
            messages.success(request, f"{n} row{'' if n == 1 else 's'} imported.")
            return redirect("vocabulary")
    return vocabulary_page(request, **{name: form}, status=422)


# --- On the page of a job ------------------------------------------------------------------------


ANSWERS = {
    Outcome.DONE: (messages.SUCCESS, "Your corrections and target words of today are applied."),
    Outcome.BEGUN: (
        messages.INFO,
        "This transcript is long. Your corrections and target words are being applied to it.",
    ),
    Outcome.ALREADY: (
        messages.INFO,
        "Your corrections and target words are being applied already, those that you have changed since too.",
    ),
    Outcome.NO_TRANSCRIPT: (
        messages.INFO,
        "This transcript is not finished. Corrections are applied when it is.",
    ),
}


@login_required
@require_POST
def apply_corrections(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = get_object_or_404(TranscriptionJob.objects.for_user(person(request)), pk=pk)
    messages.add_message(request, *ANSWERS[apply_again(job.pk)])
    return redirect("job", job.pk)
