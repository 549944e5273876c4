import os
import shutil
import signal
import sys
import threading
import unicodedata
import uuid
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

import av
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sessions_app.management.live_client import FRAME, SAMPLE_BYTES, Live, Refused, Site, Sound, Unreachable
from speech.errors import SpeechError
from speech.sound.decode import decode
from speech.types import SAMPLE_RATE, DecodeReport

REFUSED, UNREACHABLE = 1, 3
TOKEN = "TRANSCRIBE_TOKEN"  # noqa: S105  the name of a variable
DESCRIPTION = f"""\
Stream audio to a server as it is spoken, and print the words as they come.

    manage.py live talk.m4a --token KEY
    arecord -q -f S16_LE -r 16000 -c 1 -t raw | manage.py live - --token KEY

A lost connection costs nothing: what was said meanwhile is kept and sent when the server is back. Ctrl-C
ends the recording, and what was said until then is transcribed. Words that may still change are shown on a
terminal only.

It ends with 0 when the transcript is there, with {REFUSED} when the server or the audio is at fault, with 2
when the command is, and with {UNREACHABLE} when there was no connection for --patience seconds: the recording
is kept, and --resume goes on with it."""


class Command(BaseCommand):
    help = DESCRIPTION
    # This command touches no database.
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            metavar="FILE",
            help="any audio or video file; - for standard input: WAV, or raw int16 of 16 kHz, mono",
        )
        parser.add_argument("--watch", metavar="ID", help="send nothing, but print what a recording says")
        parser.add_argument(
            "--resume",
            metavar="ID",
            help="go on with a recording of the same audio that has not been finished",
        )
        parser.add_argument("--server", metavar="URL", default=_local_server(), help="default: %(default)s")
        parser.add_argument(
            "--token",
            metavar="KEY",
            default=os.environ.get(TOKEN, ""),
            help=f"from the account page; default: the environment's {TOKEN}",
        )
        parser.add_argument("--title", default="", help="of the recording; default: the file's name")
        parser.add_argument("--language", default="", help="such as en or pt-BR; default: it is found out")
        parser.add_argument(
            "--speed",
            type=_speed,
            default=1.0,
            metavar="N",
            help="play the file so many times as fast as it is spoken, as far as the server takes it: "
            "25 s of audio ahead of the clock (default: 1)",
        )
        parser.add_argument(
            "--patience",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="how long to wait for a server that is away (default: 300)",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        if (given["file"] is None) == (given["watch"] is None):
            raise CommandError("Give a FILE (or -) to stream, or --watch ID.", returncode=2)
        if not given["token"]:
            raise CommandError(
                f"Make a token on your account page, and give it as --token or in {TOKEN}.", returncode=2
            )
        if not given["server"].startswith(("http://", "https://")):
            raise CommandError("--server must begin with http:// or https://", returncode=2)
        site = Site(given["server"], given["token"])
        try:
            if given["watch"]:
                self._show(Live(site, given["watch"], patience_s=given["patience"]))
            else:
                self._stream(site, given)
        except Refused as e:
            raise CommandError(f"{e} ({e.code})", returncode=REFUSED) from e
        except Unreachable as e:
            raise CommandError(str(e), returncode=UNREACHABLE) from e

    def _stream(self, site: Site, given: dict[str, Any]) -> None:
        source: str = given["file"]
        if source != "-" and not Path(source).is_file():
            raise CommandError(f"{source}: there is no such file", returncode=REFUSED)
        session = given["resume"]
        if not session:
            title = given["title"] or ("" if source == "-" else Path(source).name)
            options = {"title": title, "language": given["language"]}
            session = site.post("/api/sessions/", options, key=uuid.uuid4().hex)["id"]
        with ExitStack() as here:
            sound = Sound()
            here.callback(sound.end)
            live = Live(
                site,
                session,
                sound,
                speed=given["speed"],
                patience_s=given["patience"],
                resume=bool(given["resume"]),
            )
            here.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, _stopper(live)))
            threading.Thread(target=_record, args=(source, sound), daemon=True).start()
            self.stderr.write(f"Recording {session}")
            try:
                self._show(live)
            except Unreachable as e:
                raise Unreachable(f"{e}\nThe recording is kept: --resume {session} goes on with it.") from e
            if sound.error is not None:
                raise CommandError(f"{source}: {_sentence(sound.error)}", returncode=REFUSED)

    def _show(self, live: Live) -> None:
        """Print what is said, and on standard error what happens."""
        words = _Words(sys.stdout)
        job = None
        for message in live.events():
            match message["type"]:
                case "job":
                    if job not in (None, message["job"]):
                        self._note(words, "The transcription was deleted, and begins anew.")
                    job = message["job"]
                case "segment" if message["kind"] == "final":
                    words.final(message["text"])
                case "segment":
                    words.interim(message["text"])
                case "lag":
                    interims = "" if message.get("interims", True) else ", and shows only what is final"
                    self._note(words, f"The server is {message['ms'] / 1000:.1f} s behind{interims}.")
                case "lost":
                    self._note(words, f"Reconnecting, everything is kept: {message['detail']}")
                case "error":
                    self._note(words, f"{message['detail']} ({message['code']})")
                case "done" if message["status"] == "completed":
                    self._note(words, f"Done: job {message['job']}")
                case "done":
                    raise CommandError(f"The job {message['job']} {message['status']}.", returncode=REFUSED)

    def _note(self, words: "_Words", sentence: str) -> None:
        words.interim("")
        self.stderr.write(sentence)


class _Words:
    """Finals on lines of their own; on a terminal below them what is being said, replaced in place."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._in_place = out.isatty()

    def interim(self, text: str) -> None:
        if self._in_place:
            columns = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r\x1b[K\x1b[2m{_end_of(text, columns)}\x1b[0m")
            self._out.flush()

    def final(self, text: str) -> None:
        self.interim("")
        self._out.write(("\r" if self._in_place else "") + text + "\n")
        self._out.flush()


def _end_of(text: str, columns: int) -> str:
    """Return as much of the end of `text` as has room in one line."""
    room = columns
    for at in range(len(text) - 1, -1, -1):
        room -= 2 if unicodedata.east_asian_width(text[at]) in "WF" else 1
        if room < 0:
            return text[at + 1 :]
    return text


def _record(source: str, sound: Sound) -> None:
    """Write the audio of a file or of standard input to `sound`, as fast as it can be had."""
    try:
        for block in _blocks(source):
            sound.write(block)
            if sound.ended:
                return
    except (SpeechError, OSError, av.FFmpegError) as e:
        sound.end(error=e)
    else:
        sound.end()


def _blocks(source: str) -> Iterator[bytes]:
    if source != "-":
        for samples in decode(Path(source), report=DecodeReport(), max_duration_s=settings.MAX_AUDIO_S):
            yield samples.tobytes()
        return
    stream = cast(BufferedReader, sys.stdin.buffer)
    yield from _wav_blocks(stream) if stream.peek(4)[:4] == b"RIFF" else _raw_blocks(stream)


def _raw_blocks(stream: BufferedReader) -> Iterator[bytes]:
    half = b""
    # read1, because read would wait until a whole block has come.
    for block in iter(partial(stream.read1, FRAME * SAMPLE_BYTES), b""):
        block = half + block
        whole = len(block) - len(block) % SAMPLE_BYTES
        yield block[:whole]
        half = block[whole:]


class _Unbuffered:
    """A file for PyAV that gives what is there."""

    def __init__(self, stream: BufferedReader) -> None:
        self.read = stream.read1


def _wav_blocks(stream: BufferedReader) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(_Unbuffered(stream), "r", format="wav", buffer_size=FRAME * SAMPLE_BYTES) as wav:
        for frame in chain(wav.decode(audio=0), [None]):
            for block in resampler.resample(frame):
                yield block.to_ndarray().tobytes()


def _stopper(live: Live) -> Callable[[int, object], None]:
    """Return a handler: the first Ctrl-C ends the recording, and the second this program."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        live.stop()

    return stop


def _sentence(error: Exception) -> str:
    if isinstance(error, SpeechError):
        return f"{error.why} ({error.code})"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < 1000:
        raise ArgumentTypeError("must be more than 0, such as 1 or 2.5")
    return speed


def _local_server() -> str:
    """Return the address of `make run` on this machine."""
    return f"http://127.0.0.1:{os.environ.get('PORT') or 8000}{settings.URL_PREFIX}"
