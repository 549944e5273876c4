"""The pages on which people sign up, log in and change their password."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm, PasswordChangeForm
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from people_app.models import User
from people_app.throttles import (
    LoginByAddressThrottle,
    LoginByNameThrottle,
    LoginThrottle,
    OldPasswordThrottle,
    refused_for_s,
)
from people_app.tokens import person


def refuse(request: HttpRequest, template: str, page: dict[str, object], seconds: int) -> HttpResponse:
    """Answer with status 429 and a sentence that says how long to wait."""
    minutes = math.ceil(seconds / 60)
    detail = f"Too many tries. Wait {minutes} minute{'s' if minutes > 1 else ''}, then try again."
    response = render(request, template, page | {"refused": detail}, status=429)
    response["Retry-After"] = str(seconds)
    return response


@method_decorator(csrf_exempt, name="dispatch")
class Login(views.LoginView):
    template_name = "people/login.html"
    # Django's view would name the site by its host.
    extra_context = {"site_name": settings.SITE_NAME}
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        # The throttle comes before Django's view looks for its CSRF token, which may be in the body.
        self.throttles: list[LoginThrottle] = [LoginByAddressThrottle()]
        if request.method == "POST" and (seconds := refused_for_s(request, self.throttles)):
            return self._refused(seconds)
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        by_name = LoginByNameThrottle()
        if seconds := refused_for_s(request, [by_name]):
            return self._refused(seconds)
        self.throttles.append(by_name)
        return super().post(request, *args, **kwargs)

    def _refused(self, seconds: int) -> HttpResponse:
        page = self.get_context_data(form=AuthenticationForm(self.request))
        return refuse(self.request, self.template_name, page, seconds)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        for throttle in self.throttles:
            throttle.forgive()
        return super().form_valid(form)

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs are of Django 6
        target = super().get_redirect_url()
        # A person who is logged in must not be sent back to the login page.
        return "" if urlsplit(target).path == self.request.path else target


class SignUpForm(BaseUserCreationForm):
    class Meta(BaseUserCreationForm.Meta):
        model = User


def save_new(form: SignUpForm) -> User | None:
    """Save the new user.

    Return None, with an error in the form, if somebody took the name in the meantime.
    """
    try:
        with transaction.atomic():
            user: User = form.save()
            return user
    except IntegrityError:
        form.add_error("username", form.instance.unique_error_message(User, ["username"]))
        return None


@csrf_exempt
@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    if not settings.SIGN_UP:
        raise Http404
    # As at the login, the throttle comes before the body is read for its CSRF token.
    if request.method == "POST" and (seconds := refused_for_s(request, [LoginByAddressThrottle()])):
        return refuse(request, "people/sign_up.html", {"form": SignUpForm()}, seconds)
    return _sign_up(request)


@csrf_protect
def _sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("home")
    form = SignUpForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if seconds := refused_for_s(request, [LoginByNameThrottle()]):
            return refuse(request, "people/sign_up.html", {"form": SignUpForm()}, seconds)
        if form.is_valid() and (user := save_new(form)):
            login(request, user)
            return redirect("home")
    return render(request, "people/sign_up.html", {"form": form})


class PasswordForm(PasswordChangeForm):
    keep_tokens = forms.BooleanField(
        required=False,
        label="Keep my API tokens",
        help_text="Otherwise they all end, and programs need new ones. Let them, if somebody may know one.",
    )

    def __init__(self, user: User, *args: object, **kwargs: object) -> None:
        super().__init__(user, *args, **kwargs)
        if not user.api_tokens.exists():
            del self.fields["keep_tokens"]

    def save(self, commit: bool = True) -> User:
        self.user.keeps_tokens = self.cleaned_data.get("keep_tokens", False)
        return super().save(commit)


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ChangePassword(views.PasswordChangeView):
    form_class = PasswordForm
    template_name = "people/password.html"
    success_url = reverse_lazy("account")

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        self.throttle = OldPasswordThrottle()
        if seconds := refused_for_s(request, [self.throttle]):
            page = self.get_context_data(form=self.form_class(person(request)))
            return refuse(request, self.template_name, page, seconds)
        return super().post(request, *args, **kwargs)

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        if "old_password" not in form.errors:
            # The old password was right; only the new one is wrong.
            self.throttle.forgive()
        return super().form_invalid(form)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        self.throttle.forgive()
        ended = "keep_tokens" in form.fields and not form.cleaned_data["keep_tokens"]
        tokens = " Your API tokens have ended." if ended else ""
        messages.success(self.request, f"Your password is changed.{tokens}")
        return super().form_valid(form)
