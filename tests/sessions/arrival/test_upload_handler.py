"""Uploaded files on their way to disk."""

from __future__ import annotations

import errno
import hashlib
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.test import RequestFactory

from rest.disk import StorageFull
from rest.refusals import FileTooLarge
from sessions_app.arrival.upload_handler import HashingUploadHandler
from tests.sessions.conftest import upload_of

MIB = 1024 * 1024


@contextmanager
def no_file_larger_than(n_bytes: int):
    """The kernel refuses to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def parse(body: bytes) -> MultiPartParser:
    request = RequestFactory().post("/", body, content_type="multipart/form-data; boundary=b")
    return MultiPartParser(request.META, request, [HashingUploadHandler(HttpRequest())]).parse()


def test_it_hashes_and_counts_what_it_writes():
    content = bytes(range(256)) * 1000
    upload = upload_of(content, piece=1000)
    assert Path(upload.temporary_file_path()).read_bytes() == content
    assert (upload.size, upload.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert upload.refused is None


def test_a_closed_upload_leaves_nothing(left_behind):
    upload = upload_of(b"content")
    assert len(left_behind()) == 1
    upload.close()
    assert left_behind() == []


def test_it_does_not_keep_the_file_in_memory():
    upload = upload_of(b"x" * (3 * MIB))
    assert Path(upload.temporary_file_path()).stat().st_size == 3 * MIB


def test_it_refuses_a_file_over_the_limit_and_keeps_none_of_it(settings, left_behind):
    settings.MAX_UPLOAD_BYTES = MIB
    assert upload_of(b"x" * MIB).refused is None
    upload = upload_of(b"x" * (MIB + 1))
    assert isinstance(upload.refused, FileTooLarge)
    assert left_behind() == []


def test_it_refuses_a_file_when_little_room_is_left(settings, monkeypatch, left_behind):
    settings.MIN_FREE_DISK_BYTES = 100
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=99))
    assert isinstance(upload_of(b"content").refused, StorageFull)
    assert left_behind() == []


def test_it_refuses_a_file_when_the_disk_is_full(left_behind):
    with no_file_larger_than(MIB):
        upload = upload_of(b"x" * (2 * MIB))
    assert isinstance(upload.refused, StorageFull)
    assert left_behind() == []


def test_it_refuses_a_small_file_whose_last_bytes_do_not_fit(left_behind):
    """They are written from a buffer, after the last chunk."""
    with no_file_larger_than(1000):
        upload = upload_of(b"x" * 1001)
    assert isinstance(upload.refused, StorageFull)
    assert left_behind() == []


def test_it_refuses_a_file_when_no_file_can_be_made(monkeypatch):
    def full(**kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    assert isinstance(upload_of(b"content").refused, StorageFull)


def test_another_error_of_the_disk_is_not_hidden(monkeypatch):
    def broken(**kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", broken)
    with pytest.raises(OSError, match="Input/output"):
        upload_of(b"content")


def test_the_fields_after_a_refused_file_are_read(settings):
    settings.MAX_UPLOAD_BYTES = 10
    fields, files = parse(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"x" * 11 + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nTalk\r\n--b--\r\n'
    )
    assert fields["title"] == "Talk"
    assert isinstance(files["file"].refused, FileTooLarge)


def test_one_refused_file_does_not_hurt_the_others(settings, left_behind):
    settings.MAX_UPLOAD_BYTES = 10
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
    _, files = parse(
        head % (b"a", b"first") + head % (b"b", b"x" * 11) + head % (b"c", b"third") + b"--b--\r\n"
    )
    assert [file.refused is None for file in files.getlist("file")] == [True, False, True]
    assert files.getlist("file")[0].read() == b"first"
    assert len(left_behind()) == 2


def test_a_body_that_breaks_off_leaves_nothing(left_behind):
    _, files = parse(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nabc')
    assert not files
    assert left_behind() == []


def test_a_body_that_cannot_be_parsed_leaves_nothing(left_behind):
    with pytest.raises(MultiPartParserError):
        parse(
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\nabcd!\r\n--b--\r\n"
        )
    assert left_behind() == []


@pytest.mark.parametrize("name", ["ü" * 255, "a." + "ü" * 250])
def test_the_name_of_a_file_does_not_reach_the_disk(name):
    upload = upload_of(b"content", name)
    assert "ü" not in upload.temporary_file_path()
