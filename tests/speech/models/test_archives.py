"""Models from a folder or an archive: whole and in place at once, or not at all, whatever the archive is."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from speech.errors import CannotInstall
from speech.models import store
from speech.models.install import _name_of
from tests.speech.models.small_hub import fake_model, left


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


@pytest.mark.parametrize("kind", ["tar", "gztar", "xztar", "zip"])
def test_a_damaged_archive_is_installed_as_it_is_or_refused(get, tmp_path, kind):
    """Python's modules raise many kinds of exceptions for what they cannot read."""
    archive = packed(tmp_path, kind)
    whole, dice = archive.read_bytes(), random.Random(1)
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        archive.write_bytes(damaged)
        try:
            get(str(archive))
        except CannotInstall:
            refused += 1
    assert refused
    assert left(tmp_path) in ([], ["mine"])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models--Systran--faster-whisper-small/snapshots/536b0662742c", "small"),
        ("faster-distil-whisper-large-v3", "distil-large-v3"),
        ("distil-large-v3.5-ct2", "distil-large-v3.5"),
        ("faster-whisper-mine", "mine"),
    ],
)
def test_a_folder_has_the_name_of_its_repository(tmp_path, folder, name):
    (tmp_path / folder).mkdir(parents=True)
    assert _name_of(tmp_path / folder) == name


def test_a_folder_of_the_working_directory_is_not_taken_for_a_known_model(hub, get, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path, "small")
    with pytest.raises(CannotInstall, match="has no Systran/faster-whisper-small"):
        get("small")
    with pytest.raises(CannotInstall, match="as this program knows"):
        get("./small")


@pytest.mark.parametrize("wanted", ["~nobody-of-this-name/model", "x" * 5000, "owner/../..", "a\0b"])
def test_what_is_no_model_at_all_is_said(hub, get, wanted):
    with pytest.raises(CannotInstall):
        get(wanted)
    assert hub.asked == []
