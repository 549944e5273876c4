from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, object]:
    """Return the settings of the site that every page shows. This takes no query."""
    return {
        "site_name": settings.SITE_NAME,
        "sign_up": settings.SIGN_UP,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "cookie_path": settings.SESSION_COOKIE_PATH,
    }
