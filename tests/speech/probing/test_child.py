"""Whatever a file does to the process that looks at it, the caller goes on and hears of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from speech.errors import NoAudio, UnreadableAudio, UnsupportedMedia
from speech.probing import child as probe_child
from speech.probing.child import probe_safely
from speech.probing.probe import probe
from tests.speech.sounds import Track, tone, write_media

ROOT = Path(__file__).parents[3]

# A server whose children do what the first letters of the file say, instead of looking at it.
MISCHIEF = """
import os, signal, socket, sys, time
from speech.probing import server as probe_server
from speech.errors import NoAudio

def mischief(file):
    first = file.read(5)
    file.seek(0)
    if first == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if first == b"burns":
        while True:
            pass
    if first == b"sleep":
        time.sleep(600)
    if first == b"eats.":
        held = [bytes(1 << 20) for _ in range(5000)]
    if first == b"murde":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if first == b"reach":
        raise NoAudio(reached())
    if first == b"bug..":
        raise RuntimeError("a bug")
    return probe(file)

def reached():
    done = []
    for what, attempt in {
        "network": socket.socket, "file": lambda: open("/etc/passwd"), "write": lambda: os.write(2, b"x"),
    }.items():
        try:
            attempt()
            done.append(what)
        except OSError as error:
            done.append(f"no {what}")
    return " ".join(done) + " " + " ".join(sorted(os.environ))

probe, probe_server.probe = probe_server.probe, mischief
signal.signal(signal.SIGINT, signal.SIG_IGN)
with socket.socket(fileno=int(sys.argv[1])) as inherited:
    probe_server.serve(inherited)
"""


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_media(tmp_path / "a.wav", Track(tone(1)), kind="wav")


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No server stays that a test has changed."""
    yield
    if probe_child._shared.server is not None:
        probe_child._shared.server.end()
        probe_child._shared.server = None


@pytest.fixture
def mischief(monkeypatch: pytest.MonkeyPatch, ended: None) -> None:
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "speech.probing.server"]
        return real([command[0], "-c", MISCHIEF, command[3]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", start)
    if probe_child._shared.server is not None:
        probe_child._shared.server.end()
        probe_child._shared.server = None


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "hostile"
    path.write_bytes(content)
    return path


def server_pid() -> int:
    assert probe_child._shared.server is not None
    return probe_child._shared.server.process.pid


def runs(pid: int) -> bool:
    """A zombie, which nobody has asked for yet, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_says_what_probe_says(tmp_path: Path, wav: Path) -> None:
    assert probe_safely(wav) == probe(wav)
    silent = write_media(tmp_path / "a.mp4", kind="mp4", video_s=1)
    for path, error in ((silent, NoAudio), (file_of(tmp_path, b"Dear diary" * 9), UnsupportedMedia)):
        with pytest.raises(error) as in_child:
            probe_safely(path)
        with pytest.raises(error) as here:
            probe(path)
        assert str(in_child.value) == str(here.value)
    with pytest.raises(UnreadableAudio, match="empty"):
        probe_safely(file_of(tmp_path, b""))


def test_a_file_without_a_name_is_looked_at_and_stays_where_it_was(wav: Path) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(wav.read_bytes())
        file.flush()
        file.seek(7)
        assert probe_safely(file).duration_ms == 1000
        assert file.tell() == 7


def test_errors_of_the_disk_stay_errors_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe_safely(tmp_path / "missing")

    class Folder:
        """Can be opened, and not be read."""

        def fileno(self) -> int:
            return descriptor

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            probe_safely(Folder())  # type: ignore[arg-type]
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("mischief")
@pytest.mark.parametrize(
    ("does", "said"),
    [
        (b"crash", "fail"),
        (b"burns", "too long"),
        (b"sleep", "too long"),
        (b"eats.", "too much memory"),
        (b"bug..", "fail"),
    ],
)
def test_the_caller_outlives_what_a_file_does(tmp_path: Path, wav: Path, does: bytes, said: str) -> None:
    probe_safely(wav)
    before = server_pid()
    with pytest.raises(UnreadableAudio, match=said):
        probe_safely(file_of(tmp_path, does), seconds=1)
    # Nor does the server die of it.
    assert probe_safely(wav).duration_ms == 1000
    assert server_pid() == before


@pytest.mark.usefixtures("mischief")
def test_a_file_that_hangs_keeps_nobody_waiting(tmp_path: Path, wav: Path) -> None:
    def hang() -> None:
        with pytest.raises(UnreadableAudio):
            probe_safely(file_of(tmp_path, b"sleep"), seconds=1)

    hanging = threading.Thread(target=hang)
    hanging.start()
    time.sleep(0.2)
    start = time.monotonic()
    assert probe_safely(wav).duration_ms == 1000
    assert time.monotonic() - start < 1
    hanging.join()


@pytest.mark.usefixtures("mischief")
def test_a_child_reaches_no_file_no_network_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "hidden")
    with pytest.raises(NoAudio) as answer:
        probe_safely(file_of(tmp_path, b"reach"))
    assert "no network no file" in str(answer.value)
    assert "SECRET_KEY" not in str(answer.value)


@pytest.mark.usefixtures("mischief")
def test_a_server_that_a_file_kills_is_started_again(tmp_path: Path, wav: Path) -> None:
    with pytest.raises(ChildProcessError):
        probe_safely(file_of(tmp_path, b"murde"))
    assert probe_safely(wav).duration_ms == 1000


def test_a_server_that_died_is_started_again(wav: Path) -> None:
    probe_safely(wav)
    os.kill(server_pid(), signal.SIGKILL)
    assert probe_safely(wav).duration_ms == 1000


def test_many_threads_are_served_at_once_and_leave_no_zombie(wav: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        lengths = list(threads.map(lambda _: probe_safely(wav).duration_ms, range(64)))
    assert lengths == [1000] * 64
    server = psutil.Process(server_pid())
    until = time.monotonic() + 10
    while server.children() and time.monotonic() < until:
        time.sleep(0.02)
    assert server.children() == []
    assert server.num_threads() == 1
    assert server.num_fds() < 12


def test_after_a_fork_the_child_has_a_server_of_its_own(wav: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from speech.probing import child as p\n"
        "path = Path(sys.argv[1]); p.probe_safely(path); first = p._shared.server.process.pid\n"
        "pid = os.fork()\n"
        "ok = p.probe_safely(path).duration_ms == 1000\n"
        "same = p._shared.server.process.pid == first\n"
        "if pid == 0: os._exit(0 if ok and not same else 3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or not (ok and same))"
    )
    subprocess.run([sys.executable, "-c", code, str(wav)], cwd=ROOT, check=True, timeout=60)


def test_the_server_ends_with_its_process_however_that_ends(wav: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from speech.probing import child as p\n"
        "p.probe_safely(Path(sys.argv[1])); print(p._shared.server.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(wav)], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert found.returncode == -signal.SIGKILL
    until = time.monotonic() + 10
    while runs(int(found.stdout)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(int(found.stdout))
