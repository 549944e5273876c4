"""What the processes of this machine compute on, as each of them notes in the folder RUN_DIR/devices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from django.conf import settings

GPU_LOCK = "gpu.lock"
ASK = """
import sys
from speech.engines.base import EngineSettings
from speech.engines.local.device import find_device
from speech.errors import SpeechError
try:
    print(find_device(EngineSettings(model="", device=sys.argv[1], compute_type=sys.argv[2])))
except SpeechError as e:
    sys.exit(str(e))
"""
WITHIN_S = 60
_noted = ""


def gpu_lock() -> str:
    """Return the file by which the processes of this machine take turns on its GPU."""
    return str(Path(settings.RUN_DIR) / GPU_LOCK)


def note(device: object) -> None:
    """Note what this process computes on, if it has changed."""
    global _noted
    text = f"{os.getpid()} {device}"
    if text == _noted:
        return
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(os.getpid())).write_text(str(device))
    _noted = text


def noted() -> dict[str, int]:
    """Return what the living processes of this machine compute on, each with how many do."""
    found: Counter[str] = Counter()
    for file in _folder().glob("[0-9]*"):
        try:
            os.kill(int(file.name), 0)
            found[file.read_text()] += 1
        except (ProcessLookupError, ValueError):
            file.unlink(missing_ok=True)
        except OSError:
            continue
    return dict(found.most_common())


def summary() -> str:
    """Return the same as a text for people, such as "2 x cpu (int8): no CUDA device was found"."""
    return "; ".join(f"{count} x {device}" for device, count in noted().items())


def device_here() -> str:
    """Return what new workers would compute on, and why, in words; after "ERROR:" why they cannot work.

    Another process is asked, because CUDA must not be touched before a fork.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, settings.LOCAL_DEVICE, settings.LOCAL_COMPUTE_TYPE],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
    except subprocess.TimeoutExpired:
        return f"ERROR: CUDA did not answer within {WITHIN_S} s"
    return done.stdout.strip() if done.returncode == 0 else f"ERROR: {done.stderr.strip()[-500:]}"


def _folder() -> Path:
    return Path(settings.RUN_DIR) / "devices"
