"""The application that the ASGI server serves: `uvicorn transcribe_site.asgi:application`."""

from __future__ import annotations

import django

from transcribe_site import start

start.begin()
django.setup(set_prefix=False)

from speech.probing import child as probe_child  # noqa: E402
from transcribe_site.server import make_application  # noqa: E402  needs the settings

probe_child.start_server()
application = make_application()
