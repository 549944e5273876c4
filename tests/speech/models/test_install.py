"""Models from a hub: whole, checked, and in place at once, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import socket
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest
import soundfile

from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.models import is_here, model_path
from speech.errors import CannotInstall, ModelUnavailable
from speech.models import catalogue, store
from speech.models.catalogue import KNOWN, KnownModel
from speech.models.hub import Hub
from speech.models.install import Limits, forget_unfinished, install, unfinished
from tests.speech.models.small_hub import COMMIT, FETCHING, SmallHub, fake_model, left, served

HELLO = Path(__file__).parents[3] / "jobs_app" / "engines" / "hello.flac"
LIMITS = Limits(model=10_000_000, spare=0)


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# From a hub


def test_a_model_of_the_hub_is_installed_with_the_files_it_needs(hub, get, tmp_path):
    model = get()
    folder = tmp_path / "models" / "owner--name"
    assert model_path("owner/name", tmp_path / "models") == str(folder)
    assert is_here("owner/name", tmp_path / "models")
    wanted = {name: content for name, content in hub.files.items() if name != "README.md"}
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != store.NOTE} == wanted
    assert model.revision == COMMIT
    assert {name: file.checked for name, file in model.files.items()} == {
        "config.json": "recorded",
        "model.bin": "hub",
        "tokenizer.json": "recorded",
        "vocabulary.txt": "recorded",
    }
    assert model.checked == "recorded"
    assert left(tmp_path) == ["owner--name"]
    assert not list((tmp_path / "models" / ".fetching").iterdir())


def test_a_revision_is_asked_for_by_its_name(hub, get):
    assert get(f"owner/name@{COMMIT}").revision == COMMIT
    assert hub.asked[0][0] == f"/api/models/owner/name/revision/{COMMIT}"
    with pytest.raises(CannotInstall, match=r"has no owner/name@v9\. Check the name and the revision"):
        get("owner/name@v9")


def test_an_interrupted_download_goes_on_where_it_stopped(hub, get, tmp_path):
    size = len(hub.files["model.bin"])
    hub.cut_after = [len(hub.files["config.json"]), 100_000, 0, 0, 0]
    with pytest.raises(CannotInstall, match="goes on where it stopped"):
        get()
    assert left(tmp_path) == []
    hub.asked.clear()
    hub.cut_after.clear()
    get()
    ranges = {path.rsplit("/", 1)[-1]: asked for path, asked, _ in hub.asked if "/resolve/" in path}
    assert ranges == {"model.bin": "bytes=100000-", "tokenizer.json": "", "vocabulary.txt": ""}
    assert (tmp_path / "models" / "owner--name" / "model.bin").stat().st_size == size


def test_a_hub_that_cannot_go_on_is_asked_from_the_beginning(hub, get):
    hub.knows_ranges = False
    hub.cut_after = [len(hub.files["config.json"]), 100_000]
    assert get().files["model.bin"].sha256 == sum_of(hub.files["model.bin"])


def test_a_busy_hub_is_asked_again(hub, get):
    get()  # so that the listing is not what is busy
    hub.files = fake_model(1000)
    hub.asked.clear()
    original, hub.statuses = hub.listing, []

    def listing() -> bytes:
        hub.statuses = [503, 429]
        return original()

    hub.listing = listing  # type: ignore[method-assign]
    with pytest.raises(CannotInstall, match="as it had at first"):
        get()  # other content of the same commit, see below
    assert hub.files_asked()[:3] == ["config.json"] * 3


def test_a_file_with_another_sum_than_the_hub_says_is_refused_and_fetched_again(hub, get, tmp_path):
    hub.sums = {"model.bin": "0" * 64}
    with pytest.raises(CannotInstall, match=r"model\.bin has the SHA-256 .* as the hub says"):
        get()
    assert left(tmp_path) == []
    hub.sums, hub.asked = {}, []
    get()
    assert hub.files_asked() == ["model.bin"]


def test_what_was_recorded_at_first_is_what_must_come_the_next_time(hub, get, tmp_path):
    get()
    store.remove("owner/name", tmp_path / "models")
    hub.files["config.json"] = b'{"lang_ids": [1]}'
    with pytest.raises(CannotInstall, match=r"config\.json has the SHA-256 .* as it had at first"):
        get()
    assert left(tmp_path) == []


def test_a_known_model_is_checked_against_the_table(hub, get, tmp_path, monkeypatch):
    wanted = {name: sum_of(content) for name, content in hub.files.items() if name != "README.md"}
    mine = KnownModel(name="mine", repository="owner/name", revision=COMMIT, size=1, sums=wanted)
    monkeypatch.setattr("speech.models.install.KNOWN", {"mine": mine})
    assert get("mine").checked == "table"
    assert get("owner/name").checked == "table"
    hub.files["model.bin"] += b"x"
    with pytest.raises(CannotInstall, match="as this program knows"):
        get("mine")
    # The one from before is untouched.
    assert store.verify(store.installed("mine", tmp_path / "models"), tmp_path / "models") == []


def test_the_token_is_not_sent_to_where_the_hub_redirects(hub, get):
    with served(SmallHub(files=hub.files)) as elsewhere:
        hub.redirects_to = elsewhere.address
        get(token="secret")
    assert {authorization for _, _, authorization in hub.asked} == {"Bearer secret"}
    assert len(elsewhere.asked) == 4
    assert {authorization for _, _, authorization in elsewhere.asked} == {""}


def test_nobody_but_the_hub_is_asked(hub, get, monkeypatch):
    asked = set()
    connect = socket.create_connection

    def note(address: tuple[str, int], *given: object, **named: object) -> socket.socket:
        asked.add("http://{}:{}".format(*address))
        return connect(address, *given, **named)

    monkeypatch.setattr(socket, "create_connection", note)
    get()
    assert asked == {hub.address}


@pytest.mark.slow
def test_a_real_model_is_checked_against_the_table_and_hears(tmp_path):
    tiny = KNOWN["tiny.en"]
    package = Path(model_path("tiny.en", tmp_path))
    names = sorted(tiny.sums, key="model.bin".__ne__)
    files = {name: (package / name).read_bytes() for name in names}
    with served(SmallHub(files=files, repository=tiny.repository, commit=tiny.revision)) as real:
        real.cut_after = [30_000_000]
        asked = Hub(endpoint=real.address, pauses_s=(0,))
        wanted = f"{tiny.repository}@{tiny.revision}"
        limits = Limits(model=10**9, spare=0)
        model = install(wanted, tmp_path / "models", asked, limits, lambda *_: None, name="mine")
    assert (model.name, model.checked, model.english_only) == ("mine", "table", True)
    assert real.files_asked().count("model.bin") == 2
    path = model_path(model.name, tmp_path / "models")
    engine = load_engine("local", EngineSettings(model=model.name, model_dir=path))
    heard = engine.transcribe(soundfile.read(HELLO, dtype="float32")[0], TranscribeOptions())
    assert "Hello" in heard.segments[0].text
    assert engine.capabilities.short_windows and not engine.capabilities.detects_language


def test_what_is_missing_is_said_before_anything_is_fetched(hub, get):
    del hub.files["tokenizer.json"]
    with pytest.raises(CannotInstall, match=r"no tokenizer\.json"):
        get()
    assert hub.files_asked() == []


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_page_of_a_proxy_instead_of_a_file_is_not_kept(hub, get, tmp_path, name):
    real, hub.sizes = hub.files[name], {name: len(hub.files[name])}
    hub.files[name] = b"<html>"
    with pytest.raises(CannotInstall, match=f"{name} is shorter than the hub says"):
        get()
    assert left(tmp_path) == []
    hub.files[name] = real
    assert get().files[name].sha256 == sum_of(real)


def test_a_file_that_is_none_of_a_model_is_fetched_again(hub, get):
    real, hub.sizes = hub.files["config.json"], {"config.json": "unknown"}
    hub.files["config.json"] = b"[" * 100_000
    with pytest.raises(CannotInstall, match=r"look at config\.json"):
        get()
    hub.files["config.json"] = real
    assert get().files["config.json"].sha256 == sum_of(real)


@pytest.mark.parametrize("commit", ["../../x", "a\0b", "", None])
def test_a_hub_that_names_no_commit_is_none(hub, get, commit):
    hub.commit = commit
    with pytest.raises(CannotInstall, match="does not answer as a model hub does"):
        get()
    assert hub.files_asked() == []


def test_the_name_of_a_known_model_is_not_given_to_another(hub, get):
    with pytest.raises(CannotInstall, match=r"small is the name of Systran/faster-whisper-small"):
        get(name="small")
    assert hub.asked == []


def test_what_has_come_already_needs_no_room(hub, get, tmp_path, monkeypatch):
    hub.cut_after = [len(hub.files["config.json"]), 250_000, 0, 0, 0]
    with pytest.raises(CannotInstall, match="goes on where it stopped"):
        get()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 400_000))
    hub.cut_after.clear()
    get()


def test_what_has_come_of_a_model_is_told_and_can_be_deleted(hub, get, tmp_path):
    models = tmp_path / "models"
    hub.cut_after = [len(hub.files["config.json"]), 100_000, 0, 0, 0]
    with pytest.raises(CannotInstall):
        get()
    assert unfinished(models) == {"owner/name": 100_000 + len(hub.files["config.json"])}
    assert forget_unfinished("owner/name", models)
    assert not forget_unfinished("owner/name", models)
    assert list((models / FETCHING).iterdir()) == []


def test_what_had_come_of_an_earlier_commit_goes_with_the_installation(hub, get, tmp_path):
    hub.cut_after = [len(hub.files["config.json"]), 100_000, 0, 0, 0]
    with pytest.raises(CannotInstall):
        get()
    hub.commit = "b" * 40
    hub.cut_after.clear()
    get()
    assert list((tmp_path / "models" / FETCHING).iterdir()) == []


def test_a_proxy_of_the_environment_is_used(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", hub.address)
    monkeypatch.delenv("no_proxy", raising=False)
    # The environment is read once for each process.
    monkeypatch.setattr(urllib.request, "_opener", None)
    mirror = Hub(endpoint="http://mirror.example", timeout_s=5, pauses_s=())
    assert install("owner/name", tmp_path, mirror, LIMITS, lambda *_: None).revision == COMMIT


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "accept its terms there and set HF_TOKEN"),
        (404, "Check the name and the revision"),
        (500, "answered with status 500"),
    ],
)
def test_a_hub_that_gives_nothing_is_said_with_the_remedy(hub, get, tmp_path, status, message):
    hub.statuses = [status]
    with pytest.raises(CannotInstall, match=message):
        get()
    assert left(tmp_path) == []


def test_a_mirror_that_is_down_and_one_that_is_none(tmp_path, hub, get):
    down = Hub(endpoint="http://127.0.0.1:9", pauses_s=())
    with pytest.raises(CannotInstall, match=r"cannot be reached \(.*\)\. Check the network and HF_ENDPOINT"):
        install("small", tmp_path, down, LIMITS, lambda *_: None)
    hub.listing = lambda: b"<html>Welcome</html>"  # type: ignore[method-assign]
    with pytest.raises(CannotInstall, match="does not answer as a model hub does"):
        get()


def test_a_file_that_is_longer_than_it_may_be_is_refused(hub, get, tmp_path):
    with pytest.raises(CannotInstall, match=r"model\.bin is larger than MAX_MODEL_MB"):
        get(limits=Limits(model=200_000, spare=0))
    hub.sizes = {"model.bin": 1000}
    with pytest.raises(CannotInstall, match=r"model\.bin is longer than the hub says"):
        get()
    assert left(tmp_path) == []


@pytest.mark.parametrize("lacking", ["model.bin", "tokenizer.json", "vocabulary.txt"])
def test_a_repository_in_another_format_is_refused(hub, get, tmp_path, lacking):
    del hub.files[lacking]
    with pytest.raises(CannotInstall, match=rf"no {lacking[:10]}.*in the format of CTranslate2"):
        get()
    assert left(tmp_path) == []


def test_another_kind_of_model_is_refused(hub, get, tmp_path):
    hub.files["model.bin"] = b"PK\x03\x04" + hub.files["model.bin"]
    with pytest.raises(CannotInstall, match=r"no Whisper model .* look at model\.bin"):
        get()


def test_a_full_disk_is_said_before_anything_is_fetched(hub, get, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 100_000))
    with pytest.raises(CannotInstall, match=r"The disk is too full: the model needs 1 MB"):
        get()
    assert hub.files_asked() == []
    assert left(tmp_path) == []


def test_only_one_model_is_installed_at_a_time(hub, get, tmp_path):
    (tmp_path / "models" / ".fetching").mkdir(parents=True)
    with (
        store.alone(tmp_path / "models" / ".fetching"),
        pytest.raises(CannotInstall, match="Another model is being installed"),
    ):
        get()
    get()


def test_a_model_that_is_damaged_later_is_not_used(get, tmp_path):
    get()
    models = tmp_path / "models"
    (models / "owner--name" / "model.bin").write_bytes(b"short")
    assert not is_here("owner/name", models)
    with pytest.raises(ModelUnavailable, match=r"manage\.py models install owner/name"):
        model_path("owner/name", models)
    get()
    assert is_here("owner/name", models)


def test_the_table_names_a_sum_for_each_file_or_for_none():
    needed = {*catalogue.NEEDED}
    for model in KNOWN.values():
        assert not model.sums or needed < set(model.sums), model.name
        assert all(len(digest) == 64 for digest in model.sums.values())
        assert len(model.revision) == 40
