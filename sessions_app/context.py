from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """What every page needs to know of the site; costs nothing."""
    return {"site_name": settings.SITE_NAME, "sign_up": settings.SIGN_UP}
