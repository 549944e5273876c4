"""The settings as a process of its own reads them from its environment."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

from tests.conftest import need
from tests.services import ROOT
from tests.settings import names
from transcribe_site.provider_settings import FIELDS, TRANSLATOR_FIELDS

INFERENCE = ("ctranslate2", "onnxruntime", "faster_whisper")
HEAVY = (*INFERENCE, "numpy", "av", "soundfile", "pydub", "openai")


def python(code: str, data_dir: Path, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code under the real settings, with nothing set but what is given; `before`: what runs Python."""
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "transcribe_site.settings"}
    return subprocess.run(
        [*before, sys.executable, "-c", code],
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


def test_it_does_not_start_without_a_secret_key(tmp_path):
    done = python("import django; django.setup()", tmp_path)
    assert done.returncode != 0
    assert "ImproperlyConfigured: SECRET_KEY (or SECRET_KEY_FILE) must be set" in done.stderr


def test_a_secret_may_stand_in_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert show("settings.SECRET_KEY", tmp_path, SECRET_KEY_FILE=str(secret)) == "from a file"


def test_a_secret_key_that_was_kept_is_read_and_one_in_the_environment_wins(tmp_path):
    (tmp_path / "secret_key").write_text("kept\n")
    program = "from django.conf import settings; print(settings.SECRET_KEY)"
    said = [python(program, tmp_path, **more).stdout for more in ({}, {"DEBUG": "True"}, {"SECRET_KEY": "x"})]
    assert said == ["kept\n", "kept\n", "x\n"]


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


def test_what_a_database_address_asks_of_the_server_counts(tmp_path):
    options = "settings.DATABASES['default']['OPTIONS']"
    url = "postgres://me@localhost/transcribe"
    assert show(options, tmp_path, DATABASE_URL=url) == "{'options': '-c jit=off'}"
    asked = show(options, tmp_path, DATABASE_URL=f"{url}?options=-c%20work_mem%3D64MB")
    assert asked == "{'options': '-c work_mem=64MB'}"


def test_starting_django_loads_no_inference_library(tmp_path):
    """A CTranslate2 model, or OpenMP, in the parent of forked workers hangs every one of them."""
    done = python(
        "import django, sys; django.setup(); import transcribe_site.urls, jobs_app.tasks;"
        f"print([m for m in {INFERENCE} if m in sys.modules])",
        tmp_path,
        SECRET_KEY="x",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_live_host_without_recordings_loads_nothing_that_works_on_sound(tmp_path):
    """It takes two thirds of the memory, and most hosts wait most of the time."""
    done = python(
        "import django, sys; django.setup(); import jobs_app.management.commands.livehost;"
        f"print([m for m in {HEAVY} if m in sys.modules])",
        tmp_path,
        SECRET_KEY="x",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_web_server_loads_nothing_that_works_on_sound(tmp_path):
    """It takes two thirds of the memory, and starts sooner."""
    done = python(
        "import django, sys; django.setup(); import transcribe_site.urls, transcribe_site.bodies.handler;"
        f"print([m for m in {HEAVY} if m in sys.modules])",
        tmp_path,
        SECRET_KEY="x",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_workers_are_forked_with_the_client_of_providers_but_with_no_inference_library(tmp_path):
    program = (
        "import django, sys, threading; django.setup();"
        "from jobs_app.management.commands import workers;"
        "workers.call_command = lambda name: print('openai' in sys.modules, threading.active_count(),"
        f" [m for m in {INFERENCE} if m in sys.modules]);"
        "workers.Command().handle()"
    )
    gpu = {"PROVIDER_GPU_BASE_URL": "http://127.0.0.1:9000/v1", "PROVIDER_GPU_MODELS": "large-v3"}
    for more, loaded in (({"PROVIDERS": "gpu", **gpu}, True), ({}, False)):
        done = python(program, tmp_path, SECRET_KEY="x", **more)
        assert (done.returncode, done.stdout.strip()) == (0, f"{loaded} 1 []"), done.stderr


def test_reading_the_settings_changes_neither_the_disk_nor_the_environment(tmp_path):
    """Whoever reads them may be looking only: `check`, a program of one's own, a second account."""
    done = python(
        "import os, sys; before = dict(os.environ); import transcribe_site.settings;"
        f"print(before == os.environ, [m for m in {HEAVY} if m in sys.modules])",
        tmp_path / "var",
        SECRET_KEY="x",
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True []"), done.stderr
    assert not (tmp_path / "var").exists()


def test_reading_the_settings_opens_no_file_for_writing(tmp_path):
    need("strace")
    trace = tmp_path / "trace"
    code = "import transcribe_site.settings"
    done = python(
        code,
        tmp_path / "var",
        *("strace", "-f", "-qq", "-e", "trace=file,desc", "-o", str(trace)),
        SECRET_KEY="x",
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert done.returncode == 0, done.stderr
    changing = re.compile(
        r"O_WRONLY|O_RDWR|O_CREAT|\b(?:mkdir|rename|unlink|f?chmod|truncate|link|symlink)(?:at)?2?\("
    )
    assert [line for line in trace.read_text().splitlines() if changing.search(line)] == []


def test_a_process_that_begins_makes_its_folders_and_closes_them_to_strangers(tmp_path):
    var = tmp_path / "var"
    var.mkdir(mode=0o755)
    done = python(
        "from transcribe_site import start; start.begin(); import os; print(os.environ['OMP_NUM_THREADS'])",
        var,
        SECRET_KEY="x",
        ENGINE_THREADS="3",
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert {path.name for path in var.iterdir()} == {"media", "models", "run", "static", "tmp", "work"}
    assert stat.S_IMODE(var.stat().st_mode) == 0o750


def test_the_deployment_check_finds_nothing_with_a_production_environment(tmp_path):
    done = python(
        "from transcribe_site import start; start.begin(); import django; django.setup();"
        "from django.core.management import call_command as c; c('check', deploy=True, fail_level='WARNING')",
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


def test_every_setting_is_in_the_operations_manual_and_no_other():
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \|", manual, flags=re.MULTILINE)
    of_make_run = {"HOST", "PORT"}
    of_a_provider = {f"OPENAI_{field}" for field in FIELDS}
    of_the_translator = {f"TRANSLATOR_{field}" for field in TRANSLATOR_FIELDS}
    assert sorted(listed) == sorted({*names(), *of_make_run, *of_a_provider, *of_the_translator})
