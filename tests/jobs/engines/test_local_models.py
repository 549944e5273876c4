"""Which models people may choose: those that are here, as the settings and staff say."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from jobs_app.engines import devices, local_models
from jobs_app.engines.offered import capabilities_of, engine_models, longer_on_gpu
from jobs_app.engines.resolving import resolve_options
from jobs_app.leases.claims import worker_name
from jobs_app.models import ChunkTranscription, JobStatus, LocalModel, Runner, WorkStatus
from sessions_app.models import RecordingSession
from sessions_app.options.forms import OptionsForm
from speech.engines.base import Capabilities
from speech.engines.local.device import Device
from speech.errors import CannotInstall, ModelNotInstalled, NotSupported
from speech.models import store
from speech.models.store import Installed, InstalledFile
from tests.job_rows import create_job
from tests.speech.models.small_hub import SmallHub, fake_model, served

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def models(settings, tmp_path: Path) -> Path:
    settings.MODELS_DIR = tmp_path / "models"
    settings.ENGINES, settings.DEFAULT_ENGINE, settings.PROVIDERS = ["local"], "local", {}
    settings.LOCAL_MODELS = ["base", "tiny.en"]
    settings.MIN_FREE_DISK_BYTES = 0
    return settings.MODELS_DIR


@pytest.fixture
def said(capsys):
    def command(*arguments: str) -> str:
        call_command("models", *arguments)
        return capsys.readouterr().out

    return command


def put(name: str, models: Path, *, repository: str = "", words: int = 51_865) -> None:
    """Put a model of this name there, without asking whether it is what it says."""
    contents = fake_model(1000) | {"vocabulary.txt": b"word\n" * words}
    with store.new_folder(models) as folder:
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        files = {
            file: InstalledFile(sha256="0" * 64, size=len(content), checked="recorded")
            for file, content in contents.items()
        }
        store.place(folder, Installed(name=name, source="a test", repository=repository, files=files), models)


def test_what_is_not_installed_is_not_offered_but_refused_with_the_remedy(models, settings):
    settings.LOCAL_MODELS = ["base", "tiny.en", "small"]
    assert engine_models() == {"local": ["base", "tiny.en"]}
    with pytest.raises(ModelNotInstalled, match=r"`manage\.py models install small`"):
        resolve_options(model="small")
    with pytest.raises(ModelNotInstalled):
        resolve_options(model="large-v3")
    put("small", models)
    assert engine_models() == {"local": ["base", "tiny.en", "small"]}
    assert resolve_options(model="small").model == "small"


def test_the_api_says_so_with_a_code_of_its_own(alice, sound_file):
    client = APIClient()
    client.force_authenticate(alice)
    for model, code in (("small", "model_not_installed"), ("huge", "not_supported")):
        with sound_file.open("rb") as file:
            answer = client.post("/api/uploads/", {"file": file, "model": model}, format="multipart")
        assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.fixture
def sound_file() -> Path:
    return Path(__file__).parents[2] / "audio" / "hello_5s.wav"


def test_staff_can_offer_what_the_settings_do_not_name_and_withdraw_what_they_do(models):
    put("owner/mine", models)
    with pytest.raises(NotSupported, match="has no model 'owner/mine' here"):
        resolve_options(model="owner/mine")
    local_models.offer("owner/mine", True)
    local_models.offer("tiny.en", False)
    assert engine_models() == {"local": ["base", "owner/mine"]}
    with pytest.raises(CannotInstall, match="base is the default"):
        local_models.offer("base", False)


def test_there_is_one_default_and_it_is_here(models, settings):
    with pytest.raises(CannotInstall, match="small is not installed here"):
        local_models.make_default("small")
    put("small", models)
    local_models.make_default("small")
    settings.LANGUAGES_ALLOWED = ["de", "fr"]
    with pytest.raises(CannotInstall, match=r"tiny\.en knows none of the languages in LANGUAGES_ALLOWED"):
        local_models.make_default("tiny.en")
    settings.LANGUAGES_ALLOWED = []
    local_models.make_default("tiny.en")
    assert [row.name for row in LocalModel.objects.filter(is_default=True)] == ["tiny.en"]
    assert resolve_options().model == "tiny.en"
    # What staff made the default before stays offered.
    assert engine_models() == {"local": ["tiny.en", "base", "small"]}


def test_a_default_that_is_gone_leaves_the_others(models):
    put("small", models)
    local_models.make_default("small")
    store.remove("small", models)
    assert engine_models() == {"local": ["tiny.en", "base"]}
    assert resolve_options().model == "tiny.en"


def test_people_choose_by_words(models, alice):
    put("small", models)
    put("owner/mine", models)
    for name in ("small", "owner/mine"):
        local_models.offer(name, True)
    choices = dict(OptionsForm(user=alice).fields["engine_model"].choices)
    assert choices == {
        "local/base": "Usual (base)",
        "local/tiny.en": "Faster, English only (tiny.en)",
        "local/small": "Better, slower (small)",
        "local/owner/mine": "owner/mine",
    }


def test_what_a_model_can_do_is_read_from_its_files(models):
    put("owner/mine", models)
    assert capabilities_of("local", "owner/mine").translates_to == {"en"}
    put("quick", models, repository="Systran/faster-distil-whisper-large-v3")
    assert capabilities_of("local", "quick").languages == {"en"}
    put("owner/english", models, words=51_864)
    local_models.offer("owner/english", True)
    assert capabilities_of("local", "owner/english").languages == {"en"}
    assert local_models.label_of("owner/english") == "owner/english, English only"
    with pytest.raises(NotSupported, match="knows only English"):
        resolve_options(model="owner/english", language="de")
    assert not capabilities_of("local", "large-v3-turbo").translates_to
    assert capabilities_of("local", "distil-large-v3").languages == {"en"}


# manage.py models


def test_it_lists_what_there_is_and_what_is_not_known(said, models):
    lines = said().splitlines()
    assert lines[0].startswith("This machine: cpu (int8)")
    by_name = {line.partition(":")[0]: line for line in lines[1:]}
    assert "99 languages; memory 550 MB a worker; speed not measured; MIT; installed" in by_name["base"]
    assert by_name["base"].endswith("DEFAULT")
    assert "484 MB" in by_name["small"] and "memory not measured" in by_name["small"]
    assert by_name["small"].endswith("not installed")
    (base,) = [row for row in json.loads(said("list", "--json")) if row["name"] == "base"]
    assert (base["installed"], base["offered"], base["default"], base["checked"]) == (
        True,
        True,
        True,
        "table",
    )


def test_it_tells_how_fast_this_machine_was(said, alice):
    session = RecordingSession.objects.create(owner=alice, source="upload", finished_at=timezone.now())
    job = create_job(session=session, engine="local", model="base", status=JobStatus.PROCESSING)
    began = timezone.now()
    for number, (worker, seconds) in enumerate(((worker_name(), 5), ("elsewhere:1", 500))):
        ChunkTranscription.objects.create(
            job=job,
            owner=alice,
            rank=0,
            queued_at=began,
            number=number,
            start_ms=number * 50_000,
            end_ms=(number + 1) * 50_000,
            speech_ms=40_000,
            engine="local",
            model="base",
            status=WorkStatus.DONE,
            worker=worker,
            started_at=began,
            finished_at=began + timedelta(seconds=seconds),
        )
    assert "base: 145 MB; 99 languages; memory 550 MB a worker; speed 10.0 x real time" in said()


def test_it_installs_from_a_mirror_and_offers_it(said, settings, models):
    with served(SmallHub()) as hub:
        settings.HF_ENDPOINT = hub.address
        assert "owner/name is installed" in said("install", "owner/name", "--default")
    assert engine_models() == {"local": ["owner/name", "tiny.en", "base"]}
    assert "sums recorded at the first install" in said("verify", "owner/name")
    (models / "owner--name" / "vocabulary.txt").write_bytes(b"w\n" * (5 * 51_865 // 2) + b"x")
    with pytest.raises(CommandError):
        said("verify", "owner/name")


def test_progress_is_lines_where_nobody_watches(settings, capsys):
    with served(SmallHub(files=fake_model(3_000_000))) as hub:
        settings.HF_ENDPOINT = hub.address
        call_command("models", "install", "owner/name")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("vocabulary.txt: 100 %")
    assert 2 <= sum(line.startswith("model.bin: ") for line in lines) <= 10


def test_what_has_come_of_a_model_is_told_and_removed(said, settings, monkeypatch):
    monkeypatch.setattr("speech.models.hub.time.sleep", lambda _: None)
    with served(SmallHub(cut_after=[16, 100_000, *[0] * 5])) as hub:
        settings.HF_ENDPOINT = hub.address
        with pytest.raises(CommandError, match="goes on where it stopped"):
            said("install", "owner/name")
    assert "owner/name, which is not installed" in said()
    assert "What had come of owner/name is deleted" in said("remove", "owner/name")
    assert "not installed: `manage.py models install` goes on" not in said()


def test_a_model_that_does_not_exist_is_not_withdrawn(said):
    with pytest.raises(CommandError, match="no model 'nothing'"):
        said("withdraw", "nothing")
    assert "cannot choose tiny.en any more" in said("withdraw", "tiny.en")
    assert list(LocalModel.objects.values_list("name", flat=True)) == ["tiny.en"]


def test_models_of_the_packages_are_verified_too(said):
    assert "tiny.en is as it should be (sums known)" in said("verify", "tiny.en")


def test_what_is_needed_is_not_removed_by_mistake(said, models, alice, settings):
    put("small", models)
    local_models.make_default("small")
    session = RecordingSession.objects.create(owner=alice, source="upload", finished_at=timezone.now())
    create_job(session=session, engine="local", model="small", status=JobStatus.PENDING)
    alice.job_defaults = {"model": "small"}
    alice.save()
    with pytest.raises(CommandError, match="it is the default, 1 open job need it, 1 person prefers it"):
        said("remove", "small")
    assert "small is removed" in said("remove", "small", "--force")
    assert not os.path.exists(models / "small")
    with pytest.raises(CommandError, match="comes with this program"):
        said("remove", "base", "--force")
    with pytest.raises(CommandError, match="no installed model 'small'"):
        said("remove", "small", "--force")


# What it computes on


def test_windows_are_as_long_as_a_gpu_can_use(settings, monkeypatch):
    able = Capabilities(min_window_s=40, max_window_s=60)
    found = Device(kind="cuda", compute_type="float16", at_once=8)
    monkeypatch.setattr("speech.engines.local.device.find_device", lambda _: found)
    longer = longer_on_gpu("local", "tiny.en", able)
    assert (longer.min_window_s, longer.max_window_s) == (160, 232)
    assert longer_on_gpu("fake", "fake", able) == able
    settings.LOCAL_DEVICE = "cpu"
    assert longer_on_gpu("local", "tiny.en", able) == able


def test_what_workers_compute_on_is_told_for_as_long_as_they_live(settings, tmp_path, monkeypatch):
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(devices, "_noted", "")
    assert devices.summary() == ""
    devices.note(Device(why="no CUDA device was found"))
    (tmp_path / "devices" / "999999999").write_text("cuda (float16)")
    assert devices.summary() == "1 x cpu (int8): no CUDA device was found"
    assert os.listdir(tmp_path / "devices") == [str(os.getpid())]


def test_health_tells_it_to_those_who_run_the_site(client, monkeypatch):
    monkeypatch.setattr("transcribe_site.watching.health.storage", list)
    now = timezone.now()
    Runner.objects.create(name="here:1", workers=2, beat_at=now, proven_at=now, devices="2 x cpu (int8)")
    assert client.get("/readyz").json() == {"status": "ready", "devices": {"here:1": "2 x cpu (int8)"}}
    assert client.get("/readyz", REMOTE_ADDR="203.0.113.9").json() == {"status": "ready"}


def test_a_gpu_that_the_settings_ask_for_is_looked_for_at_the_start(settings, monkeypatch):
    from jobs_app.checks import device, gpu

    assert gpu(None) == []
    monkeypatch.setattr(devices, "device_here", lambda: "ERROR: no CUDA device was found")
    settings.LOCAL_DEVICE = "cuda"
    (warning,) = gpu(None)
    assert "no CUDA device was found" in warning.msg and "LOCAL_DEVICE=auto" in warning.hint
    settings.LOCAL_DEVICE = "auto"
    monkeypatch.setattr(devices, "device_here", lambda: "cpu (int8): no CUDA device was found")
    assert "compute on cpu (int8): no CUDA device" in device(None)[0].msg
