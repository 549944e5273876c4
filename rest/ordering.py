"""Sort a list as `?ordering=` asks for it."""

from __future__ import annotations

import django_filters
from django.db.models import F, Model, QuerySet


class Ordering(django_filters.OrderingFilter):
    """Sort by `?ordering=-created_at,duration_ms`. Rows without a value come last in both directions."""

    def filter(self, qs: QuerySet[Model], value: list[str] | None) -> QuerySet[Model]:
        # One comma too many leaves an empty part.
        params = [param for param in value or () if param]
        if not params:
            return qs
        order = []
        for param in params:
            field = F(self.get_ordering_value(param).removeprefix("-"))
            order.append(field.desc(nulls_last=True) if param.startswith("-") else field.asc(nulls_last=True))
        # Rows with the same value must not change places between two pages.
        return qs.order_by(*order, "-pk")
