"""`manage.py live` beside a server that follows a script: what it sends, when it goes on, how it ends.

tests/acceptance/live/test_clients.py tries it on a whole site.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from django.core.management import CommandError, call_command
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from sessions_app.management.commands.live import _Words
from speech.types import SAMPLE_RATE

ID = "0b7a3b1e-0000-4000-8000-000000000000"
DONE = {"type": "done", "job": "850d163f", "status": "completed"}


class Server:
    """Accepts connections and plays the next of `acts` on each. `heard`: what it was sent, in order."""

    def __init__(self, *acts: Callable[[Act], None], refuse: Response | None = None) -> None:
        self._acts = iter(acts)
        self._refuse = refuse
        self.first: list[dict[str, Any]] = []
        self.heard = b""
        self.tokens: set[str] = set()

    def _look(self, _: ServerConnection, request: Request) -> Response | None:
        self.tokens.add(request.headers["Authorization"])
        assert request.path == f"/ws/sessions/{ID}/live/"
        return self._refuse

    def _play(self, socket: ServerConnection) -> None:
        self.first.append(json.loads(socket.recv()))
        next(self._acts)(Act(self, socket))

    @contextmanager
    def running(self) -> Iterator[str]:
        with serve(self._play, "127.0.0.1", 0, process_request=self._look) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
            finally:
                server.shutdown()
                thread.join()


class Act:
    """One connection, as its server sees it."""

    def __init__(self, server: Server, socket: ServerConnection) -> None:
        self._server = server
        self._socket = socket

    def say(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    def ready(self) -> None:
        """Everything heard is kept but for half of a millisecond, which no position tells."""
        ms = len(self._server.heard) // 2 * 1000 // SAMPLE_RATE
        self._server.heard = self._server.heard[: ms * SAMPLE_RATE // 1000 * 2]
        self.say(type="ready", received_ms=ms, saved_ms=0, cuts_ms=[5000])

    def listen(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            frame = self._socket.recv()
            assert isinstance(frame, bytes)
            self._server.heard += frame

    def listen_to_the_end(self) -> None:
        while isinstance(message := self._socket.recv(), bytes):
            assert 0 < len(message) <= 65536
            self._server.heard += message
        assert json.loads(message) == {"type": "stop"}

    def final(self, number: int, text: str) -> None:
        self.say(type="segment", id=f"u{number}", kind="final", start_ms=0, end_ms=1, text=text, confidence=1)

    def cut(self) -> None:
        """End without a word, as a network does."""
        self._socket.socket.shutdown(2)


@pytest.fixture
def talk(tmp_path):
    """3.05 s, so that the last frame is short."""
    samples = np.random.default_rng(1).normal(0, 0.1, int(3.05 * SAMPLE_RATE))
    path = tmp_path / "talk.wav"
    soundfile.write(path, samples, SAMPLE_RATE)
    return path


def pcm(path) -> bytes:
    return soundfile.read(path, dtype="int16")[0].tobytes()


def live(address: str, *arguments: Any, **options: Any) -> None:
    call_command("live", *arguments, server=address, token="key", speed=20.0, **options)


def whole(act: Act) -> None:
    act.ready()
    act.listen_to_the_end()
    act.final(0, "One.")
    act.say(**DONE)


def test_it_sends_the_file_and_prints_what_is_final(talk, capsys):
    def play(act: Act) -> None:
        act.ready()
        act.listen(1)
        act.say(type="segment", id="u0", kind="interim", start_ms=0, end_ms=9, text="On", firm=0)
        act.final(0, "One.")
        act.say(type="saved", received_ms=900, saved_ms=0)
        act.say(type="lag", ms=4200, interims=False)
        act.listen_to_the_end()
        act.final(1, "Two.")
        act.say(**DONE)

    server = Server(play)
    with server.running() as address:
        live(address, talk, resume=ID)
    assert server.heard == pcm(talk)
    assert server.tokens == {"Token key"}
    written = capsys.readouterr()
    assert written.out == "One.\nTwo.\n"
    assert "4.2 s behind, and shows only what is final" in written.err
    assert "Done: job 850d163f" in written.err


def test_it_goes_on_where_the_server_has_received_the_audio(talk, capsys):
    def drop(act: Act) -> None:
        act.ready()
        act.listen(1)
        act.final(0, "One.")
        act.listen(0.3)
        act.cut()

    server = Server(drop, lambda act: act.cut(), whole)
    with server.running() as address:
        live(address, talk, resume=ID)
    assert server.heard == pcm(talk)
    assert [first.get("have") for first in server.first] == [None, "u0", "u0"]
    assert all(first["resume"] and first["type"] == "start" for first in server.first)
    assert "Reconnecting, everything is kept" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["too_fast", "try_again", "idle"])
def test_what_ends_the_connection_alone_does_not_end_the_recording(talk, code):
    def send_away(act: Act) -> None:
        act.ready()
        act.listen(0.5)
        act.say(type="error", code=code, detail="Later.")

    server = Server(send_away, whole)
    with server.running() as address:
        live(address, talk, resume=ID)
    assert server.heard == pcm(talk)


def test_it_watches_the_rest_when_the_server_had_heard_the_stop(talk, capsys):
    def stop(act: Act) -> None:
        act.ready()
        act.listen_to_the_end()
        act.cut()

    def finished(act: Act) -> None:
        act.say(type="error", code="session_finished", detail="It has been finished.")

    def rest(act: Act) -> None:
        act.final(0, "One.")
        act.say(**DONE)

    server = Server(stop, finished, rest)
    with server.running() as address:
        live(address, talk, resume=ID)
    assert [first["type"] for first in server.first] == ["start", "start", "watch"]
    assert capsys.readouterr().out == "One.\n"


def test_it_watches(capsys):
    def cut(act: Act) -> None:
        act.say(type="ready", received_ms=90_000, saved_ms=0, cuts_ms=[])
        act.final(7, "Seven.")
        act.cut()

    def rest(act: Act) -> None:
        act.final(8, "Eight.")
        act.say(**DONE)

    server = Server(cut, rest)
    with server.running() as address:
        live(address, watch=ID)
    assert server.first == [{"type": "watch"}, {"type": "watch", "have": "u7"}]
    assert capsys.readouterr().out == "Seven.\nEight.\n"


def test_a_refusal_ends_it_with_1_and_the_servers_sentence(talk):
    def taken(act: Act) -> None:
        act.ready()
        act.say(type="error", code="taken_over", detail="Another device sends this recording.")

    with (
        Server(taken).running() as address,
        pytest.raises(CommandError, match=r"Another device .* \(taken_over\)") as e,
    ):
        live(address, talk, resume=ID)
    assert e.value.returncode == 1


def test_a_job_that_has_failed_ends_it_with_1(talk):
    def fail(act: Act) -> None:
        act.ready()
        act.listen_to_the_end()
        act.say(**{**DONE, "status": "failed"})

    with (
        Server(fail).running() as address,
        pytest.raises(CommandError, match=r"850d163f failed") as e,
    ):
        live(address, talk, resume=ID)
    assert e.value.returncode == 1


def test_a_refusal_before_the_connection_ends_it_with_1(talk):
    body = json.dumps({"code": "not_found", "detail": "There is no such recording."}).encode()
    headers = Headers({"Content-Length": str(len(body))})
    response = Response(HTTPStatus.NOT_FOUND, "Not Found", headers, body)
    with (
        Server(refuse=response).running() as address,
        pytest.raises(CommandError, match=r"no such recording\. \(not_found\)") as e,
    ):
        live(address, talk, resume=ID)
    assert e.value.returncode == 1


def test_a_server_that_stays_away_ends_it_with_3_and_says_how_to_go_on(talk):
    with Server().running() as address:
        pass
    with pytest.raises(CommandError, match=f"--resume {ID}") as e:
        live(address, talk, resume=ID, patience=0.2)
    assert e.value.returncode == 3


def test_a_server_that_does_not_answer_ends_it_with_3_before_anything_is_begun(talk):
    with Server().running() as address:
        pass
    with pytest.raises(CommandError, match="does not answer") as e:
        live(address, talk)
    assert e.value.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "options"),
    [([], {}), (["talk.wav"], {"watch": ID}), (["talk.wav"], {"token": ""}), (["talk.wav"], {"server": "x"})],
)
def test_a_wrong_command_ends_it_with_2(arguments, options):
    with pytest.raises(CommandError) as e:
        call_command("live", *arguments, **{"token": "key", **options})
    assert e.value.returncode == 2


def test_a_file_that_is_no_audio_is_a_recording_without_sound_and_an_error(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no audio")
    with Server(whole).running() as address, pytest.raises(CommandError, match="unsupported_media") as e:
        live(address, path, resume=ID)
    assert e.value.returncode == 1


def wav(samples, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def test_it_reads_raw_audio_from_standard_input_in_whatever_pieces_it_comes(talk, monkeypatch):
    class Pieces(io.RawIOBase):
        left = pcm(talk) + b"\0"

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece, self.left = self.left[:999], self.left[999:]
            buffer[: len(piece)] = piece
            return len(piece)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Pieces())))
    server = Server(whole)
    with server.running() as address:
        live(address, "-", resume=ID)
    assert server.heard == pcm(talk)


def test_it_reads_wav_of_any_rate_from_standard_input(monkeypatch):
    tone = np.sin(np.arange(44_100) / 44_100 * 2 * np.pi * 440) / 2
    content = wav(np.stack([tone, tone], 1), 44_100)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
    server = Server(whole)
    with server.running() as address:
        live(address, "-", resume=ID)
    heard = np.frombuffer(server.heard, np.int16) / 32768
    assert abs(len(heard) - SAMPLE_RATE) < 20
    expected = np.sin(np.arange(len(heard)) / SAMPLE_RATE * 2 * np.pi * 440) / 2
    assert np.abs(heard - expected)[100:-100].max() < 0.05


def test_ctrl_c_ends_the_recording_with_what_was_sent(talk, capsys):
    def interrupted(act: Act) -> None:
        act.ready()
        act.listen(1)
        signal.raise_signal(signal.SIGINT)
        act.listen_to_the_end()
        act.final(0, "One.")
        act.say(**DONE)

    before = signal.getsignal(signal.SIGINT)
    server = Server(interrupted)
    with server.running() as address:
        call_command("live", talk, server=address, token="key", resume=ID)
    assert SAMPLE_RATE * 2 <= len(server.heard) < len(pcm(talk))
    assert pcm(talk).startswith(server.heard)
    assert capsys.readouterr().out == "One.\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_on_a_terminal_words_that_change_stand_in_the_last_line(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "11")
    words = _Words(out)
    words.interim("and so my fellow")
    words.interim("你好世界你好")
    words.final("Hello.")
    erase, grey, plain = "\r\x1b[K", "\x1b[2m", "\x1b[0m"
    assert out.getvalue() == (
        f"{erase}{grey} my fellow{plain}{erase}{grey}好世界你好{plain}{erase}{grey}{plain}\rHello.\n"
    )
