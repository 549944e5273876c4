"""Nothing leaves the machine that nobody asked for: what the processes connect to, as the kernel saw it."""

from __future__ import annotations

import os
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
from tests.settings import names

pytestmark = pytest.mark.slow

ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
# onnxruntime asked for its maker's host within the first seconds, and again every few.
WATCHED_S = 10
# A traced process stops at each thread and each signal, and waits for its turn beside the other tests.
PATIENT = "import sys; from deploy import run; run.READY_WITHIN_S = 600; sys.exit(run.main())"
# No packet is sent by that, wherever it is.
NOBODY = "192.0.2.1"
CONTROL = f"import socket; socket.socket(type=socket.SOCK_DGRAM).connect_ex(('{NOBODY}', 9))"


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
    site = Site(tmp_path / "data", tmp_path / "log", under=strace(traced), program=("-c", PATIENT))
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
    command = [sys.executable, "manage.py", "transcribe", str(ROOT / "tests" / "audio" / "hello_5s.wav")]
    # A process that does connect comes after it, so that a trace which shows nothing is no proof.
    both = [
        "sh",
        "-c",
        'control=$1; shift; "$@" && exec "$0" -c "$control"',
        sys.executable,
        CONTROL,
        *command,
    ]
    done = subprocess.run(
        [*strace(traced), *both],
        cwd=ROOT,
        # With the engine that it has by itself, not the tests' fake one.
        env={
            **{
                name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in names()
            },
            "DATA_DIR": str(tmp_path / "data"),
            "SECRET_KEY": "for this test only",
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "hello" in done.stdout.lower()
    [control] = left_the_machine(traced.read_text(errors="replace"))
    assert f'inet_addr("{NOBODY}")' in control
