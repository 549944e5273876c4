"""What the ASGI server serves: `uvicorn transcribe_site.asgi:application`."""

from __future__ import annotations

import os
import warnings

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup(set_prefix=False)

from transcribe_site.limits import LimitedHandler  # noqa: E402  needs the settings

# WhiteNoise reads its files synchronously. They are small, and the server's log is for what can be mended.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

application = LimitedHandler()
