"""Pages around an account: signing up, logging in, the password, the API token."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from rest_framework.authtoken.models import Token

from jobs_app.throttles import LoginByAddressThrottle, LoginByNameThrottle, LoginThrottle


def wait_s(request: HttpRequest, throttles: list[LoginThrottle]) -> int:
    """Count this try; 0, or how long to wait because there were too many. The API's tries count as well."""
    # A list: each of them must count it.
    refusing = [throttle for throttle in throttles if not throttle.allow_request(request, None)]
    return math.ceil(max((throttle.wait() or throttle.duration for throttle in refusing), default=0))


def refuse(request: HttpRequest, template: str, page: dict[str, Any], seconds: int) -> HttpResponse:
    minutes = math.ceil(seconds / 60)
    detail = f"Too many tries. Wait {minutes} minute{'s' if minutes > 1 else ''}, then try again."
    response = render(request, template, page | {"refused": detail}, status=429)
    response["Retry-After"] = str(seconds)
    return response


class Login(views.LoginView):
    template_name = "accounts/login.html"
    # Django's view calls the site by its host.
    extra_context = {"site_name": settings.SITE_NAME}
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.throttles = [LoginByAddressThrottle(), LoginByNameThrottle()]
        if seconds := wait_s(request, self.throttles):
            page = self.get_context_data(form=AuthenticationForm(request))
            return refuse(request, self.template_name, page, seconds)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        for throttle in self.throttles:
            throttle.forgive()
        return super().form_valid(form)

    def get_redirect_url(self) -> str:
        target = super().get_redirect_url()
        # Here again, logged in, there would be nowhere to go.
        return "" if urlsplit(target).path == self.request.path else target


def save_new(form: UserCreationForm) -> User | None:
    """None, with an error in the form, where somebody else took the name since it was looked up."""
    try:
        with transaction.atomic():
            return form.save()
    except IntegrityError:
        form.add_error("username", form.instance.unique_error_message(User, ["username"]))
        return None


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    if not settings.SIGN_UP:
        raise Http404
    if request.user.is_authenticated:
        return redirect("home")
    form = UserCreationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if seconds := wait_s(request, [LoginByAddressThrottle(), LoginByNameThrottle()]):
            return refuse(request, "accounts/sign_up.html", {"form": UserCreationForm()}, seconds)
        if form.is_valid() and (user := save_new(form)):
            login(request, user)
            return redirect("home")
    return render(request, "accounts/sign_up.html", {"form": form})


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ChangePassword(views.PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponseRedirect:
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """The API token. A POST makes one; the one before ends with it."""
    if request.method == "POST":
        with transaction.atomic():
            # Of two such requests at once the second one replaces what the first one made.
            User.objects.select_for_update().get(pk=request.user.pk)
            replaced, _ = Token.objects.filter(user=request.user).delete()
            Token.objects.create(user=request.user)
        messages.success(
            request,
            "Your new token is below. The old one has ended." if replaced else "Your token is below.",
        )
        return redirect("account")
    token = Token.objects.filter(user=request.user).first()
    return render(request, "accounts/account.html", {"token": token, "base": request.build_absolute_uri("/")})
