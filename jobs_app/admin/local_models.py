"""The admin page of speech models. It shows what is here, and can change what people may choose."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs_app.engines import local_models
from jobs_app.engines.local_models import ModelRow
from jobs_app.models import LocalModel
from people_app.staff.badges import NOTHING, badge
from people_app.staff.read_only import ReadOnlyAdmin
from speech.errors import CannotInstall
from speech.models.catalogue import MB

CHECKED = {"": NOTHING, "table": "known", "hub": "as the hub says", "recorded": "recorded"}


@admin.register(LocalModel)
class LocalModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "may_choose", "size", "languages", "memory", "speed", "sums", "licence")
    fields = (*list_display, "source")
    actions = ("make_default", "offer", "withdraw")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LocalModel]:
        # What is here is looked up once for each page. A new row is made by `note_all`.
        self._rows: dict[str, ModelRow] = {row.name: row for row in local_models.rows()}
        return super().get_queryset(request)

    def has_change_models_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs_app.change_localmodel")

    @admin.action(description="Make it the default", permissions=["change_models"])
    def make_default(self, request: HttpRequest, queryset: QuerySet[LocalModel]) -> None:
        names = list(queryset.values_list("name", flat=True))
        if len(names) != 1:
            self.message_user(request, "Choose one model: there is one default.", messages.WARNING)
            return
        self._do(request, names, local_models.make_default, "is the default for new jobs")

    @admin.action(description="Let people choose it", permissions=["change_models"])
    def offer(self, request: HttpRequest, queryset: QuerySet[LocalModel]) -> None:
        names = list(queryset.values_list("name", flat=True))
        self._do(
            request, names, lambda name: local_models.offer(name, True), "may be chosen where it is installed"
        )

    @admin.action(description="Let nobody choose it", permissions=["change_models"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[LocalModel]) -> None:
        names = list(queryset.values_list("name", flat=True))
        self._do(request, names, lambda name: local_models.offer(name, False), "cannot be chosen any more")

    def _do(self, request: HttpRequest, names: list[str], change: Callable[[str], None], done: str) -> None:
        for name in names:
            try:
                change(name)
            except CannotInstall as e:
                self.message_user(request, str(e), messages.ERROR)
            else:
                self.message_user(request, f"The model {name} {done}.", messages.SUCCESS)

    def _row(self, model: LocalModel) -> ModelRow:
        # Another request may have looked them up again.
        return self._rows.get(model.name) or ModelRow(name=model.name)

    @admin.display(description="here")
    def state(self, model: LocalModel) -> SafeString:
        row = self._row(model)
        if row.is_default:
            return badge(
                "done" if row.is_here else "failed", "default" if row.is_here else "default, not installed"
            )
        return badge("done", "installed") if row.is_here else badge("cancelled", "not installed")

    @admin.display(boolean=True, description="may be chosen")
    def may_choose(self, model: LocalModel) -> bool:
        row = self._row(model)
        return row.offered and row.is_here

    @admin.display
    def size(self, model: LocalModel) -> str:
        size = self._row(model).size
        return f"{size / MB:.0f} MB" if size else NOTHING

    @admin.display
    def languages(self, model: LocalModel) -> str:
        return {True: "English", False: "99", None: NOTHING}[self._row(model).english_only]

    @admin.display(description="memory of a worker")
    def memory(self, model: LocalModel) -> str:
        known = self._row(model).known
        return f"{known.memory_mb} MB" if known and known.memory_mb else "not measured"

    @admin.display(description="speed here")
    def speed(self, model: LocalModel) -> str:
        speed = self._row(model).speed
        return f"{speed:.1f} x real time" if speed else "not measured"

    @admin.display
    def sums(self, model: LocalModel) -> str:
        return CHECKED[self._row(model).checked]

    @admin.display
    def licence(self, model: LocalModel) -> str:
        known = self._row(model).known
        return known.licence if known else "see its source"

    @admin.display
    def source(self, model: LocalModel) -> str:
        row = self._row(model)
        if row.note:
            return f"{row.note.source} {row.note.revision}".strip()
        return "comes with this program" if row.known and row.known.packaged else NOTHING
