"""Models from a hub, a folder and an archive: whole, checked, and in place at once, or not at all."""

from __future__ import annotations

import hashlib
import io
import shutil
import socket
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
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
from speech.models.install import Limits, install
from tests.speech.models.small_hub import COMMIT, SmallHub, fake_model, served

HELLO = Path(__file__).parents[3] / "jobs_app" / "engines" / "hello.flac"
LIMITS = Limits(model=10_000_000, spare=0)


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    with served(SmallHub()) as hub:
        yield hub


@pytest.fixture
def get(hub: SmallHub, tmp_path: Path) -> Callable[..., store.Installed]:
    def install_it(wanted: str = "owner/name", limits: Limits = LIMITS, token: str = "", name: str = ""):
        asked = Hub(endpoint=hub.address, token=token, timeout_s=5, pauses_s=(0, 0))
        return install(wanted, tmp_path / "models", asked, limits, lambda *_: None, name=name)

    return install_it


def left(tmp_path: Path) -> list[str]:
    """What there is in the folder of models, beside what was begun."""
    hidden = (".fetching", store.SUMS)
    return sorted(path.name for path in (tmp_path / "models").iterdir() if path.name not in hidden)


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


# From a folder or an archive


def folder_of(tmp_path: Path, name: str = "faster-whisper-mine") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for file, content in fake_model().items():
        (folder / file).write_bytes(content)
    return folder


def packed(tmp_path: Path, kind: str) -> Path:
    folder = folder_of(tmp_path)
    return Path(shutil.make_archive(str(tmp_path / "faster-whisper-mine"), kind, folder.parent, folder.name))


def test_a_folder_is_copied_also_where_it_has_links(get, tmp_path):
    folder = folder_of(tmp_path)
    (folder / "model.bin").rename(tmp_path / "blob")
    (folder / "model.bin").symlink_to(tmp_path / "blob")
    assert get(str(folder)).name == "mine"
    copy = tmp_path / "models" / "mine" / "model.bin"
    assert copy.is_file() and not copy.is_symlink()
    assert (folder / "model.bin").exists()


@pytest.mark.parametrize("kind", ["tar", "gztar", "xztar", "zip"])
def test_an_archive_is_unpacked_without_a_network(hub, get, tmp_path, kind):
    assert get(str(packed(tmp_path, kind))).name == "mine"
    assert sorted(path.name for path in (tmp_path / "models" / "mine").iterdir()) == sorted(
        [*(name for name in fake_model() if name != "README.md"), store.NOTE]
    )
    assert hub.asked == []


def hostile_tar(tmp_path: Path, *members: tarfile.TarInfo) -> Path:
    archive = tmp_path / "mine.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in fake_model(1000).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return archive


def member(name: str, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("evil", "message"),
    [
        (member("../../model.bin", size=3), "leaves its folder"),
        (member("/tmp/model.bin", size=3), "leaves its folder"),
        (member("preprocessor_config.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link"),
        (member("preprocessor_config.json", type=tarfile.LNKTYPE, linkname="model.bin"), "a link"),
        (member("preprocessor_config.json", type=tarfile.FIFOTYPE), "a link or a device"),
        (member("second/model.bin", size=3), "model.bin twice"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_hostile_archive_is_refused_and_writes_nothing(get, tmp_path, evil, message):
    with pytest.raises(CannotInstall, match=message):
        get(str(hostile_tar(tmp_path, evil)))
    assert left(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.tar", "models"]


def test_a_zip_that_leaves_its_folder_is_refused(get, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("..\\..\\model.bin", b"x")
    with pytest.raises(CannotInstall, match="leaves its folder"):
        get(str(tmp_path / "mine.zip"))


def test_an_archive_that_unpacks_to_far_more_is_refused(get, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.bin", bytes(20_000_000))
    assert (tmp_path / "mine.zip").stat().st_size < 100_000
    with pytest.raises(CannotInstall, match=r"model\.bin is larger than MAX_MODEL_MB"):
        get(str(tmp_path / "mine.zip"))
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["gztar", "zip"])
def test_a_truncated_archive_is_refused(get, tmp_path, kind):
    archive = packed(tmp_path, kind)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(CannotInstall, match=r"is no tar or zip archive|is damaged"):
        get(str(archive))
    assert left(tmp_path) == []


@pytest.mark.parametrize(("name", "message"), [("base", "comes with this program"), ("a b", "is no name")])
def test_a_name_that_cannot_be_taken(get, tmp_path, name, message):
    with pytest.raises(CannotInstall, match=message):
        get(str(folder_of(tmp_path)), name=name)


def test_a_folder_that_is_called_like_a_known_model_must_be_that(get, tmp_path):
    with pytest.raises(CannotInstall, match="as this program knows"):
        get(str(folder_of(tmp_path, "faster-whisper-small")))


def test_the_table_names_a_sum_for_each_file_or_for_none():
    needed = {*catalogue.NEEDED}
    for model in KNOWN.values():
        assert not model.sums or needed < set(model.sums), model.name
        assert all(len(digest) == 64 for digest in model.sums.values())
        assert len(model.revision) == 40
