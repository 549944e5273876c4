"""The settings that mypy reads, to know the models: those of the site, without a key or a database of one."""

import os

os.environ.update(SECRET_KEY="for types only", DATABASE_URL="")

from transcribe_site.settings import *  # noqa: F403
