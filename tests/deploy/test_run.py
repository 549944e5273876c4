"""The parts of `make run` that need no server; tests/acceptance/test_make_run.py runs it as a whole."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys

import psutil
import pytest
from django.contrib.auth import get_user_model

from deploy import addresses, run, sample
from deploy import children as children_of_run
from tests.services import ROOT


def test_make_help_lists_every_target_that_people_use():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+) ", shown, flags=re.MULTILINE))
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets == set(phony[1].replace("\\", "").split()) - {"venv"}


def test_every_benchmark_of_the_makefile_exists():
    modules = re.findall(r"-m benchmarks\.(\w+)", (ROOT / "Makefile").read_text())
    assert modules
    assert [m for m in modules if not (ROOT / "benchmarks" / f"{m}.py").is_file()] == []


def test_the_secret_key_is_made_once_and_is_its_owners_alone(tmp_path):
    run.make_secret_key(tmp_path / "var")
    path = tmp_path / "var" / "secret_key"
    first = path.read_text()
    run.make_secret_key(tmp_path / "var")
    assert (path.read_text(), len(first) >= 50) == (first, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_run_beside_another_one_does_not_replace_its_secret_key(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("SECRET_KEY")
    with run.alone(tmp_path / "run"), pytest.raises(run.CannotRun, match="already uses"):
        run.run(dev=False)
    assert not (tmp_path / "secret_key").exists()


def test_what_a_start_left_that_was_cut_off_while_it_made_the_key_is_no_key(tmp_path):
    (tmp_path / "secret_key.unfinished").write_text("half a k")
    run.make_secret_key(tmp_path)
    assert len((tmp_path / "secret_key").read_text()) >= 50
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_a_port_in_use_is_one_sentence_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            run.CannotRun, match=f"port {port} on 127.0.0.1 .*in use: process {os.getpid()},.*PORT=8001"
        ):
            run.require_free("127.0.0.1", port)
    run.require_free("127.0.0.1", port)


def test_an_address_that_is_not_this_machines_is_one_sentence():
    with pytest.raises(run.CannotRun, match=r"192\.0\.2\.1"):
        run.require_free("192.0.2.1", 8000)


def test_a_second_run_on_the_same_data_is_refused_until_the_first_ends(tmp_path):
    with (
        run.alone(tmp_path / "run"),
        pytest.raises(run.CannotRun, match=f"process {os.getpid()}.* already uses"),
        run.alone(tmp_path / "run"),
    ):
        pass
    with run.alone(tmp_path / "run"):
        pass


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("0.0.0.0", socket.gethostname()),  # noqa: S104
    ],
)
def test_the_site_answers_to_the_names_of_the_address_it_listens_on(host, name):
    assert name in addresses.names_of(host)
    assert "127.0.0.1" in addresses.names_of(host)
    assert "*" not in addresses.names_of(host)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
        ("192.0.2.7", "http://192.0.2.7:80"),
    ],
)
def test_the_url_it_prints_can_be_opened(host, url):
    assert addresses.url_of(host, 80) == url


@pytest.mark.django_db
def test_it_makes_a_staff_account_only_where_there_is_none(capsys):
    account = run.first_staff_account()
    password = re.search(r"password: +(\S+)", capsys.readouterr().out)[1]
    assert account.is_staff
    assert account.check_password(password)
    assert run.first_staff_account() == account
    assert capsys.readouterr().out == ""
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["admin", "Admin"])
def test_someone_who_signed_up_as_admin_does_not_become_staff(name):
    someone = get_user_model().objects.create_user(name, password="theirs alone")
    account = run.first_staff_account()
    someone.refresh_from_db()
    assert account != someone
    assert not someone.is_staff


def test_a_child_that_ends_by_itself_is_named_and_the_others_are_stopped():
    ended = pytest.raises(run.CannotRun, match="the short one ended with exit code 3")
    with ended, children_of_run.Children(grace_s=5) as children:
        children.start("long one", sys.executable, "-c", "import time; time.sleep(60)")
        children.start("short one", sys.executable, "-c", "raise SystemExit(3)")
        long_one, short_one = children._processes.values()
        short_one.wait()
        children.check()
    assert long_one.returncode is not None


def test_a_child_that_does_not_end_is_killed_with_its_own_children():
    deaf = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
        "time.sleep(60)"
    )
    with children_of_run.Children(grace_s=1) as children:
        children.start("deaf one", sys.executable, "-c", deaf)
        process = psutil.Process(children._processes["deaf one"].pid)
        while len(family := [process, *process.children()]) < 2:
            pass
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_what_a_killed_run_left_is_ended_by_the_next_one(tmp_path, capsys):
    record = tmp_path / "children"
    earlier = children_of_run.Children(grace_s=5, record=record)
    earlier.start("web server", sys.executable, "-c", "import time; time.sleep(60)")
    left = psutil.Process(earlier._processes["web server"].pid)
    children_of_run.end_leftovers(record, grace_s=5)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert f"web server (process {left.pid})" in capsys.readouterr().out
    assert not record.exists()


def test_a_process_that_only_has_the_number_of_one_left_behind_is_left_alone(tmp_path):
    record = tmp_path / "children"
    record.write_text(json.dumps({"web server": [os.getpid(), 1.0]}))
    children_of_run.end_leftovers(record, grace_s=5)
    assert not record.exists()


def test_children_end_when_their_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys, time; from pathlib import Path; from deploy.children import Children;"
            "children = Children(grace_s=5, record=Path(sys.argv[1]));"
            "children.start('one', sys.executable, '-c', 'import time; time.sleep(60)'); time.sleep(60)",
            str(tmp_path / "children"),
        ],
        cwd=ROOT,
    )
    while not (tmp_path / "children").exists() or not (tmp_path / "children").read_text():
        assert parent.poll() is None
    ((pid, _),) = json.loads((tmp_path / "children").read_text()).values()
    child = psutil.Process(pid)
    parent.kill()
    parent.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_line_is_shown_for_each_change_alone():
    statuses = [
        {"progress": 0, "stage": "waiting", "status": "pending"},
        {"progress": 0, "stage": "waiting", "status": "pending"},
        {"progress": 50, "stage": "transcribing", "status": "processing"},
        {"progress": 100, "stage": "ended", "status": "completed"},
    ]
    assert list(sample.progress_lines(iter(statuses))) == [
        "  0 %  waiting",
        " 50 %  transcribing",
        "100 %  completed",
    ]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PORT": "http"}, "PORT must be a whole number"),
        ({"PORT": "70000"}, "PORT must be from 1 to 65535"),
        ({"DEBUG": "perhaps"}, "DEBUG must be True or False"),
        ({"LOCAL_MODEL": "/no/such/model"}, "/no/such/model"),
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/x"}, "the database does not answer"),
    ],
)
def test_what_makes_it_impossible_is_one_sentence_without_a_traceback(
    environment, words, tmp_path, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for name in ("DATA_DIR", "SECRET_KEY"):
        monkeypatch.delenv(name)
    for name, value in {"DATA_DIR": str(tmp_path), "PORT": str(port), **environment}.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-m", "deploy.run"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    last = done.stdout.strip().splitlines()[-1]
    assert (done.returncode, last.startswith("Cannot run: "), words in last) == (1, True, True), done
    assert "Traceback" not in done.stderr
