"""The settings as a process of its own reads them from its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import ROOT
from tests.settings import names
from transcribe_site.provider_settings import FIELDS

INFERENCE = ("ctranslate2", "onnxruntime", "faster_whisper")


def python(code: str, data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code under the real settings, with nothing set but what is given."""
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "transcribe_site.settings"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**own, "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def show(expression: str, data_dir: Path, **environment: str) -> str:
    done = python(
        f"from django.conf import settings; print({expression})", data_dir, SECRET_KEY="x", **environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "yes"),
        ("HTTPS", "1"),
        ("WORKERS", "many"),
        ("WORKERS", "0"),
        ("MAX_UPLOAD_MB", "-1"),
        ("QUEUE", "rabbit"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://db/name"),
        ("DATABASE_URL", "postgres://db:port/name"),
        ("ENGINES", "telepathy"),
        ("ENGINES", "none"),
        ("PROVIDERS", "local"),
        ("PROVIDERS", "none"),
        ("PROVIDERS", "Groq"),
        ("PROVIDERS", "a b"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_itself(name, value, tmp_path):
    done = python("import django; django.setup()", tmp_path, SECRET_KEY="x", **{name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {name}")


def test_it_does_not_start_without_a_secret_key(tmp_path):
    done = python("import django; django.setup()", tmp_path)
    assert done.returncode != 0
    assert "ImproperlyConfigured: SECRET_KEY (or SECRET_KEY_FILE) must be set" in done.stderr


def test_a_secret_may_stand_in_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert show("settings.SECRET_KEY", tmp_path, SECRET_KEY_FILE=str(secret)) == "from a file"


def test_a_secret_file_that_is_not_there_names_itself(tmp_path):
    done = python("import django; django.setup()", tmp_path, SECRET_KEY_FILE=str(tmp_path / "none"))
    assert "ImproperlyConfigured: SECRET_KEY_FILE: " in done.stderr


def test_debug_is_off_and_https_on_unless_someone_says_otherwise(tmp_path):
    assert show("settings.DEBUG, settings.SECURE_SSL_REDIRECT", tmp_path) == "False True"


def test_an_empty_value_counts_as_not_given(tmp_path):
    assert show("settings.DEBUG, settings.TIME_ZONE", tmp_path, DEBUG="", TIME_ZONE="") == "False UTC"


def test_a_database_password_may_hold_any_character(tmp_path):
    url = "postgres://us%40er:p%2Fw%3A%40@db.example.org:6432/tr%20x?sslmode=require"
    database = "{k: settings.DATABASES['default'][k] for k in ('USER', 'PASSWORD', 'HOST', 'PORT', 'NAME')}"
    assert show(database, tmp_path, DATABASE_URL=url) == str(
        {"USER": "us@er", "PASSWORD": "p/w:@", "HOST": "db.example.org", "PORT": 6432, "NAME": "tr x"}
    )


def test_starting_django_loads_no_inference_library(tmp_path):
    """A CTranslate2 model, or OpenMP, in the parent of forked workers hangs every one of them."""
    done = python(
        "import django, sys; django.setup(); import transcribe_site.urls, jobs_app.tasks;"
        f"print([m for m in {INFERENCE} if m in sys.modules])",
        tmp_path,
        SECRET_KEY="x",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_workers_are_forked_with_the_client_of_providers_but_with_no_inference_library(tmp_path):
    program = (
        "import django, sys, threading; sys.argv[1:] = ['{command}']; django.setup();"
        "print('openai' in sys.modules, threading.active_count(),"
        f" [m for m in {INFERENCE} if m in sys.modules])"
    )
    gpu = {"PROVIDER_GPU_BASE_URL": "http://127.0.0.1:9000/v1", "PROVIDER_GPU_MODELS": "large-v3"}
    for command, more, loaded in (
        ("qcluster", {"PROVIDERS": "gpu", **gpu}, True),
        ("qcluster", {}, False),
        ("migrate", {"PROVIDERS": "gpu", **gpu}, False),
    ):
        done = python(program.format(command=command), tmp_path, SECRET_KEY="x", **more)
        assert (done.returncode, done.stdout.strip()) == (0, f"{loaded} 1 []"), done.stderr


def test_the_deployment_check_finds_nothing_with_a_production_environment(tmp_path):
    done = python(
        "from django.core.management import call_command as c; import django; django.setup();"
        "c('check', deploy=True, fail_level='WARNING')",
        tmp_path,
        SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        ALLOWED_HOSTS="transcribe.example.org",
        BEHIND_PROXY="True",
    )
    assert done.returncode == 0, done.stderr


def test_a_provider_can_be_all_there_is(tmp_path):
    gpu = {"PROVIDER_GPU_BASE_URL": "http://127.0.0.1:9000/v1", "PROVIDER_GPU_MODELS": "large-v3"}
    shown = show(
        "settings.ENGINES, settings.DEFAULT_ENGINE", tmp_path, ENGINES="none", PROVIDERS="gpu", **gpu
    )
    assert shown == "[] gpu"


def test_an_engine_that_is_not_offered_fails_the_check(tmp_path):
    done = python(
        "from django.core.management import call_command as c; import django; django.setup(); c('check')",
        tmp_path,
        SECRET_KEY="x",
        DEFAULT_ENGINE="telepathy",
        FALLBACK_ENGINE="ouija",
    )
    assert done.returncode != 0
    assert "jobs_app.E003" in done.stderr
    assert "jobs_app.E004" in done.stderr


def test_every_setting_is_in_the_operations_manual_and_no_other():
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \|", manual, flags=re.MULTILINE)
    of_make_run = {"HOST", "PORT"}
    of_a_provider = {f"OPENAI_{field}" for field in FIELDS}
    assert sorted(listed) == sorted({*names(), *of_make_run, *of_a_provider})
