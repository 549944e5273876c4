"""The admin site: its name, the state of the queue on its first page, and the tables of Django-Q2."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from jobs_app.watching.overview import overview
from people_app.staff.read_only import ReadOnlyAdmin


class AdminSite(admin.AdminSite):
    site_header = f"{settings.SITE_NAME} administration"
    site_title = settings.SITE_NAME
    index_title = "Overview"
    # Lists of jobs need the room of the bar, and the first page has links to everything.
    enable_nav_sidebar = False

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """Send people to the login of the site, so that there is one login with one throttle."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            detail = "This is for staff. Log out, then log in with an account of the staff."
            return render(request, "403.html", {"detail": detail}, status=403)
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index"))

    def password_change(  # type: ignore[override]  # an address is as good as a page
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Send people to the site's own page, which counts the tries."""
        return redirect("change-password")

    def index(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> TemplateResponse:
        context = extra_context or {}
        if request.user.has_perm("jobs_app.view_transcriptionjob"):
            state = overview()
            context |= {
                "overview": state,
                "minutes_left": round(state.audio_left_ms / 60_000),
                "hours_completed": f"{state.completed_ms / 3_600_000:.1f}",
            }
        return super().index(request, context)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # No model here has a page on the site, and Django's view for such pages fails if a key is not valid.
        return [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, object]]:
        """List the product's own tables first, and those of Django-Q2 under a name that nobody takes for
        jobs.
        """
        order = [app.label for app in apps.get_app_configs()]
        app_list = sorted(
            super().get_app_list(request, app_label), key=lambda app: order.index(app["app_label"])
        )
        for app in app_list:
            if app["app_label"] == "django_q":
                app["name"] = "Wake-up messages (Django-Q2)"
        return app_list

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: object,
    ) -> None:
        # Django-Q2 registers forms for its tables. With the form for schedules, staff could make the workers
        # call any function.
        if admin_class is None or admin_class.__module__ != "django_q.admin":
            super().register(model_or_iterable, admin_class, **options)
            return
        for model in [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable:
            super().register(model, QUEUE_TABLES[model.__name__], **options)


class QueueTable(ReadOnlyAdmin):
    """A table of Django-Q2. The page of its list, admin/django_q/change_list.html, explains it."""

    deletable = True


class TaskTable(QueueTable):
    list_display = ("name", "func", "cluster", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")
    list_filter = ("cluster", "stopped")
    fields = ("id", "name", "func", "cluster", "started", "stopped", "attempt_count", "result")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        # These columns hold pickles, and loading a pickle runs what is in it. So lists never load them.
        return super().get_queryset(request).defer("args", "kwargs", "result")


class ScheduleTable(QueueTable):
    list_display = ("name", "func", "schedule_type", "next_run", "repeats", "cluster")
    search_fields = ("name", "func")
    list_filter = ("schedule_type",)


class Message(Protocol):
    """The part of Django-Q2's OrmQ that is read here. OrmQ has no types."""

    lock: datetime | None


class MessageTable(QueueTable):
    list_display = ("id", "key", "fetched", "lock")
    list_filter = ("key",)
    # The payload is left out, because it is a signed pickle.
    fields = ("id", "key", "fetched", "lock")

    @admin.display(boolean=True)
    def fetched(self, message: Message) -> bool:
        """Whether a worker has fetched the message. If so, it is locked until it may be fetched again."""
        return message.lock is not None and message.lock > timezone.now()


QUEUE_TABLES = {
    "Success": TaskTable,
    "Failure": TaskTable,
    "Schedule": ScheduleTable,
    "OrmQ": MessageTable,
}
