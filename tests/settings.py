"""The product's settings for the tests: nothing from the environment, nothing of the developer's var/.

With TEST_DATABASE=postgres the same tests run on PostgreSQL.
"""

import os
import re
import tempfile

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from speech import telemetry
from tests.services import POSTGRES_URL, ROOT

# Some tests import faster-whisper before anything of `speech` that needs it.
telemetry.turn_off()

SETTING = re.compile(r'\benv\.\w+\(\s*"([A-Z0-9_]+)"')


def names() -> list[str]:
    """Every name that transcribe_site/settings.py reads from the environment."""
    return SETTING.findall((ROOT / "transcribe_site" / "settings.py").read_text(encoding="utf-8"))


for name in [
    *names(),
    *(name for name in os.environ if name.startswith(("OPENAI_", "PROVIDER_", "TRANSLATOR_"))),
]:
    os.environ.pop(name, None)
    os.environ.pop(f"{name}_FILE", None)
os.environ.update(
    SECRET_KEY="for tests only",
    HTTPS="False",
    ENGINES="fake,local",
    # A test that needs live hosts starts them itself.
    LIVE_HOSTS="0",
    DATA_DIR=tempfile.mkdtemp(prefix="transcribe-tests-"),
    # What a test starts has the real settings, with this environment.
    DJANGO_SETTINGS_MODULE="transcribe_site.settings",
)
if os.environ.get("TEST_DATABASE") == "postgres":
    os.environ["DATABASE_URL"] = POSTGRES_URL

from transcribe_site.settings import *  # noqa: E402, F403
from transcribe_site.settings import DATABASES, STORAGES  # noqa: E402

if os.environ.get("TEST_DATABASE") == "postgres":
    # Two runs at once must not drop each other's.
    DATABASES["default"]["TEST"] = {"NAME": f"test_transcribe_{os.getpid()}"}

# The files as they are in static/, without collecting them first.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


class QuickPasswordHasher(PBKDF2PasswordHasher):
    """Costs nothing, and is read by a server with the usual hashers."""

    iterations = 1


PASSWORD_HASHERS = ["tests.settings.QuickPasswordHasher"]
