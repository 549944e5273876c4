"""The page of an account: a person's preferences, and the tokens of their programs."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from jobs_app.engines.resolving import resolve_options
from jobs_app.models.options import PAGES, Door, JobOptions
from jobs_app.models.speakers import LONGEST_NAME
from people_app.models import User
from people_app.tokens import person
from sessions_app.options.forms import OptionsForm


def time_zones() -> list[tuple[str, str]]:
    return [("", "As this browser says"), *((zone, zone) for zone in sorted(zoneinfo.available_timezones()))]


class LooksForm(forms.ModelForm):
    """How a person wants pages to look."""

    time_zone = forms.ChoiceField(choices=time_zones, required=False, label="Time zone")
    live = forms.BooleanField(
        required=False,
        label="Live words",
        help_text="On the page Record, words appear while you speak. The switch on that page is the same.",
    )
    known_voices = forms.BooleanField(
        required=False,
        label="Known voices",
        help_text="You can save a voice under a name, and where somebody sounds like it in a later recording "
        "of yours, that name is suggested. What is kept of a voice are 192 numbers (385 bytes) for each "
        "recording that you save it from, from which nothing can be heard. They can tell people apart, so "
        "save the voices only of those who agree.",
    )

    class Meta:
        model = User
        fields = ("time_zone", "theme", "live", "known_voices")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.KNOWN_VOICES:
            del self.fields["known_voices"]


class DefaultsForm(OptionsForm):
    """The options that forms show at first for a person's new recordings.

    `live` is the field that says whether words appear while the person speaks.
    """

    def __init__(self, *args: Any, live: forms.BoundField, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._live = live

    @property
    def below(self) -> list[forms.BoundField]:
        """Live words stand before the second hearing, which comes after them."""
        fields = super().below
        at = next((n for n, field in enumerate(fields) if field.name == "refine"), len(fields))
        return [*fields[:at], self._live, *fields[at:]]

    def options(self) -> JobOptions:
        return resolve_options(**self.given())

    def defaults(self) -> dict[str, object]:
        """Return the defaults to store for the user. Call it only on valid data.

        Defaults that this form does not offer stay as they were. An option that equals the default of the
        site is left out, so that it follows the site when the site's default changes.
        """
        shown = self.given().keys()
        kept = {name: value for name, value in self.user.job_defaults.items() if name not in shown}
        return kept | self.differing()


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    user = person(request)
    sent = request.POST if request.method == "POST" else None
    looks = LooksForm(sent, instance=user)
    defaults = DefaultsForm(
        sent, user=user, doors=(*PAGES, Door.ACCOUNT_PAGE), prefix="new", live=looks["live"]
    )
    if looks.is_valid() and defaults.is_valid():
        user.job_defaults = defaults.defaults()
        user.save(update_fields=[*looks.fields, "job_defaults"])
        messages.success(request, "Saved.")
        return redirect("account")
    page = {
        "looks": looks,
        "defaults": defaults,
        "voices": user.saved_voices.prefetch_related("samples__job__session"),
        "longest_name": LONGEST_NAME,
        "tokens": user.api_tokens.order_by("-created_at", "-pk"),
        "base": request.build_absolute_uri(reverse("home")),
    }
    return render(request, "preferences/page.html", page, status=422 if sent is not None else 200)
