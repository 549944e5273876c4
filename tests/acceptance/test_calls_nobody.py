"""Nothing leaves the machine that nobody asked for: what the processes connect to, as the kernel saw it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.acceptance.test_make_run import Site
from tests.conftest import need
from tests.services import ROOT

pytestmark = pytest.mark.slow

ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
# onnxruntime asked for its maker's host within the first seconds, and again every few.
WATCHED_S = 10


def left_the_machine(traced: str) -> list[str]:
    """The lines in which a process sent to another machine, or asked a name server, wherever that runs."""

    def leaves(line: str) -> bool:
        address = ADDRESS.search(line)
        if address is None:
            return False
        port = PORT.search(line)
        there = ip_address(address[1] or address[2])
        return not there.is_loopback or (port is not None and port[1] == "53")

    return [line for line in traced.splitlines() if leaves(line)]


def strace(output: Path) -> tuple[str, ...]:
    need("strace")
    # With a filter in the kernel the other calls cost nothing.
    return (
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-o",
        str(output),
    )


@pytest.mark.parametrize(
    "line",
    [
        '7 connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16) = 0',
        '7 connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
        "7 connect(5, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH',
    ],
)
def test_a_name_server_and_another_machine_count_as_leaving(line):
    assert left_the_machine(line) == [line]


def test_this_machine_and_its_sockets_do_not():
    assert not left_the_machine(
        '7 connect(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
        '7 connect(5, {sa_family=AF_UNIX, sun_path="/run/x"}, 16) = 0\n'
        '7 sendto(5, "GET / HTTP/1.1", 14, 0, NULL, 0) = 14'
    )


def test_the_site_and_its_workers_connect_to_nobody(tmp_path):
    traced = tmp_path / "traced"
    site = Site(tmp_path / "data", tmp_path / "log", under=strace(traced))
    try:
        # With it a real transcript has been made.
        site.wait_for("Ctrl-C stops everything", within_s=600)
        time.sleep(WATCHED_S)
    finally:
        for process in site.family()[:1]:
            process.send_signal(signal.SIGTERM)
        site.process.wait(300)
    text = traced.read_text(errors="replace")
    assert "connect(" in text
    assert left_the_machine(text) == []


def test_the_command_connects_to_nobody(tmp_path):
    traced = tmp_path / "traced"
    subprocess.run(
        [
            *strace(traced),
            *(sys.executable, "manage.py", "transcribe"),
            str(ROOT / "tests" / "audio" / "hello_5s.wav"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert traced.exists()
    assert left_the_machine(traced.read_text(errors="replace")) == []
