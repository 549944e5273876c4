"""The admin site: its name, the state of the queue on its first page, and Django-Q2's tables explained."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from jobs_app.overview import overview
from jobs_app.read_only import ReadOnlyAdmin


class AdminSite(admin.AdminSite):
    site_header = f"{settings.SITE_NAME} administration"
    site_title = settings.SITE_NAME
    index_title = "Overview"
    # Lists of jobs need the room; the first page leads to everything.
    enable_nav_sidebar = False

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The site's login: one door, with one throttle."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            detail = "This is for staff. Log out, then log in with an account of the staff."
            return render(request, "403.html", {"detail": detail}, status=403)
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = extra_context or {}
        if request.user.has_perm("jobs_app.view_transcriptionjob"):
            state = overview()
            context |= {
                "overview": state,
                "minutes_left": round(state.audio_left_ms / 60_000),
                "hours_completed": f"{state.completed_ms / 3_600_000:.1f}",
            }
        return super().index(request, context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """The product's own tables first; Django-Q2's under a name that nobody takes for jobs."""
        order = [app.label for app in apps.get_app_configs()]
        app_list = sorted(
            super().get_app_list(request, app_label), key=lambda app: order.index(app["app_label"])
        )
        for app in app_list:
            if app["app_label"] == "django_q":
                app["name"] = "Wake-up messages (Django-Q2)"
        return app_list

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        # Django-Q2 registers forms for its tables: with the one for schedules staff could have the workers
        # call any function there is.
        if admin_class is not None and admin_class.__module__ == "django_q.admin":
            admin_class = QUEUE_TABLES[model_or_iterable._meta.model_name]
        super().register(model_or_iterable, admin_class, **options)


class QueueTable(ReadOnlyAdmin):
    """A table of Django-Q2's. What it is for stands above its list, in admin/django_q/change_list.html."""

    deletable = True


class TaskTable(QueueTable):
    list_display = ("name", "func", "cluster", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")
    list_filter = ("cluster", "stopped")
    fields = ("id", "name", "func", "cluster", "started", "stopped", "attempt_count", "result")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        # These are pickles: loading the column would run what is in it. A list never does.
        return super().get_queryset(request).defer("args", "kwargs", "result")


class ScheduleTable(QueueTable):
    list_display = ("name", "func", "schedule_type", "next_run", "repeats", "cluster")
    search_fields = ("name", "func")
    list_filter = ("schedule_type",)


class MessageTable(QueueTable):
    list_display = ("id", "key", "fetched", "lock")
    list_filter = ("key",)
    # Not the payload, which is a signed pickle.
    fields = ("id", "key", "fetched", "lock")

    @admin.display(boolean=True)
    def fetched(self, message: Model) -> bool:
        """A fetched message is locked until it may be fetched again."""
        return message.lock is not None and message.lock > timezone.now()


QUEUE_TABLES = {
    "success": TaskTable,
    "failure": TaskTable,
    "schedule": ScheduleTable,
    "ormq": MessageTable,
}
