"""The pages on which people make and end the tokens of their programs."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from people_app.models import ApiToken, User
from people_app.tokens import person

LASTS = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}


class TokenForm(forms.ModelForm):
    lasts = forms.ChoiceField(
        choices=list(LASTS.items()), required=False, initial="365", label="It is valid for"
    )

    class Meta:
        model = ApiToken
        fields = ("name", "rights")
        labels = {"rights": "Rights"}
        help_texts = {
            "name": "What uses it, so that you know it again.",
            "rights": "“Read” changes nothing. “Send recordings” starts transcripts, and reads those whose "
            "ids it knows but no list. “Everything” is what you may do.",
        }
        widgets = {"name": forms.TextInput(attrs={"placeholder": "Backup of the meeting room"})}

    def issue_for(self, user: User) -> ApiToken:
        """Return the token that is wanted. Call it on valid data."""
        given = self.cleaned_data
        return ApiToken.objects.issue(
            user, given["name"], rights=given["rights"], expires_at=_after(given["lasts"])
        )


def _after(days: str) -> datetime | None:
    return timezone.now() + timedelta(days=int(days)) if days else None


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def make_token(request: HttpRequest) -> HttpResponse:
    """Show the form, then the key of the new token, which is in no later answer."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "tokens/make.html", {"form": form})
    token = form.issue_for(person(request))
    page = {"token": token, "base": request.build_absolute_uri(reverse("home"))}
    return render(request, "tokens/made.html", page)


@login_required
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(person(request).api_tokens, pk=pk)
    token.delete()
    messages.success(request, f"The token “{token}” has ended. Programs that use it are refused from now on.")
    return redirect("account")
