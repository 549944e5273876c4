"""The GPU, as far as a machine without one can tell: CTranslate2 is told to say that there is one."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ctranslate2 import DataType, StorageView

from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local import device, model, turns
from speech.engines.local.device import Device, find_device, turn
from speech.engines.local.engine import LocalEngine
from speech.engines.local.turns import OnDevice, in_turn
from speech.errors import EngineFailed, ModelUnavailable

OUT_OF_MEMORY = RuntimeError("CUDA failed with error out of memory")
SETTINGS = EngineSettings(model="base", model_dir="/models/base", device="auto")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU with 20 GB. `loads` has what is loaded, and what comes of it."""
    told = SimpleNamespace(count=1, free_mb=20_000.0, loads=[], problems=[])

    class FakeModel:
        runs_on = Device()
        model = SimpleNamespace(n_mels=80)

        def __init__(self, path: str, *, device: str, **settings: Any) -> None:
            told.loads.append((device, settings["compute_type"]))
            assert settings["local_files_only"]
            if device == "cuda" and told.problems:
                raise told.problems.pop(0)

        def encode(self, features: Any) -> None:
            assert features.shape == (80, 3000)
            if told.problems:
                raise told.problems.pop(0)

    def count() -> int:
        if isinstance(told.count, Exception):
            raise told.count
        return told.count

    types = {"cpu": {"int8", "float32"}, "cuda": {"int8", "float16", "float32", "int8_float16"}}
    monkeypatch.setattr(device.ctranslate2, "get_cuda_device_count", count)
    monkeypatch.setattr(device.ctranslate2, "get_supported_compute_types", types.__getitem__)
    monkeypatch.setattr(device, "free_memory_mb", lambda: told.free_mb)
    monkeypatch.setattr(model, "Model", FakeModel)
    return told


def test_where_there_is_a_gpu_it_is_used(gpu):
    loaded = model.load_model(SETTINGS)
    assert loaded.runs_on == Device(kind="cuda", compute_type="float16", at_once=16)
    assert gpu.loads == [("cuda", "float16")]


@pytest.mark.parametrize(
    ("count", "why"),
    [
        (0, "no CUDA device was found"),
        (RuntimeError("CUDA driver version is insufficient"), "CUDA driver version is insufficient"),
    ],
)
def test_where_there_is_none_the_cpu_is_used_and_the_reason_is_said(gpu, caplog, count, why):
    gpu.count = count
    loaded = model.load_model(SETTINGS)
    assert (loaded.runs_on.kind, loaded.runs_on.compute_type, loaded.runs_on.why) == ("cpu", "int8", why)
    assert str(loaded.runs_on) == f"cpu (int8): {why}"
    assert f"computes on the CPU: {why}" in caplog.text


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (OUT_OF_MEMORY, "its memory is too small (out of memory)"),
        (
            RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"),
            "a library is missing (Library libcublas.so.12 is not found or cannot be loaded)",
        ),
    ],
)
def test_a_gpu_that_cannot_load_the_model_is_left_for_the_cpu(gpu, caplog, problem, why):
    gpu.problems = [problem]
    loaded = model.load_model(SETTINGS)
    assert (loaded.runs_on.kind, loaded.runs_on.why) == ("cpu", why)
    assert [kind for kind, _ in gpu.loads] == ["cuda", "cpu"]
    assert why in caplog.text


def test_a_gpu_that_must_be_used_and_cannot_is_an_error_with_the_remedy(gpu):
    must = replace(SETTINGS, device="cuda")
    gpu.count = 0
    with pytest.raises(ModelUnavailable, match=r"LOCAL_DEVICE is cuda, but .* no CUDA device was found"):
        model.load_model(must)
    gpu.count, gpu.problems = 1, [OUT_OF_MEMORY]
    with pytest.raises(ModelUnavailable, match="out of memory"):
        model.load_model(must)
    assert gpu.loads == [("cuda", "float16")]


def test_cuda_is_not_asked_where_the_settings_say_cpu(gpu):
    gpu.count = AssertionError("asked")
    assert model.load_model(replace(SETTINGS, device="cpu")).runs_on == Device()


def test_a_compute_type_counts_where_it_is_possible(gpu, caplog):
    wished = replace(SETTINGS, compute_type="int8_float16")
    assert find_device(wished).compute_type == "int8_float16"
    assert caplog.text == ""
    gpu.count = 0
    assert find_device(wished).compute_type == "int8"
    assert "LOCAL_COMPUTE_TYPE: int8_float16 is not possible with cpu here" in caplog.text


@pytest.mark.parametrize(
    ("free_mb", "weights_mb", "at_once"),
    [(20_000, 150, 16), (None, 150, 8), (6_000, 3_000, 3), (2_000, 3_000, 1), (2_000, 150, 15)],
)
def test_as_much_is_decoded_at_once_as_the_memory_holds(gpu, tmp_path, free_mb, weights_mb, at_once):
    with (tmp_path / "model.bin").open("wb") as weights:
        weights.truncate(weights_mb * 1_000_000)
    gpu.free_mb = free_mb
    found = find_device(replace(SETTINGS, model_dir=str(tmp_path)))
    assert found.at_once == found.half_minutes == at_once


def test_the_free_memory_is_that_of_the_first_visible_gpu(monkeypatch):
    asked = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(stdout="1000\n")

    monkeypatch.setattr(device.subprocess, "run", run)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert device.free_memory_mb() == pytest.approx(1048.576)
    assert asked[0][-2:] == ["-i", "3"]
    monkeypatch.setattr(device.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="[N/A]"))
    assert device.free_memory_mb() is None


# Turns


class Machine(OnDevice):
    def __init__(self, settings: EngineSettings, work: Callable[[], str]) -> None:
        super().__init__(settings)
        self.work = work

    @in_turn
    def transcribe(self, samples: object, options: TranscribeOptions, on_wait: Any = None) -> str:
        return self.work()


def test_a_gpu_that_fails_at_work_is_left_but_not_for_what_the_audio_did(gpu, caplog):
    caplog.set_level(logging.WARNING)
    problem: BaseException = ValueError("no such language")

    def fail() -> str:
        raise EngineFailed() from problem

    machine = Machine(SETTINGS, fail)
    with pytest.raises(EngineFailed):
        machine.transcribe(None, TranscribeOptions())
    assert machine.runs_on.kind == "cuda"
    problem = OUT_OF_MEMORY
    with pytest.raises(EngineFailed):
        machine.transcribe(None, TranscribeOptions())
    assert machine.runs_on.kind == "cpu"
    assert "leaves the GPU for the CPU: its memory is too small (out of memory)" in caplog.text
    machine.work = lambda: "heard"
    assert machine.transcribe(None, TranscribeOptions()) == "heard"
    assert [kind for kind, _ in gpu.loads] == ["cuda", "cpu"]


def hold(lock: str, held: Any, release: Any) -> None:
    with turn(lock):
        held.set()
        release.wait(30)


def test_processes_take_turns_and_whoever_waits_is_asked_meanwhile(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "TELL_EVERY_S", 0.01)
    lock = str(tmp_path / "gpu.lock")
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(lock, held, release))
    other.start()
    try:
        assert held.wait(30)
        order: list[str] = []
        machine = Machine(replace(SETTINGS, device="cpu", gpu_lock=lock), lambda: "heard")
        machine.transcribe(None, TranscribeOptions())  # the CPU waits for nobody

        def waited() -> None:
            order.append("waited")
            release.set()

        machine = loaded_before(lock, order)
        assert machine.transcribe(None, TranscribeOptions(), on_wait=waited) == "heard"
        assert order[0] == "waited" and order[-1] == "worked"
    finally:
        release.set()
        other.join(30)


def loaded_before(lock: str, order: list[str]) -> Machine:
    """A machine on the GPU that was loaded before its turn came."""
    machine = Machine(SETTINGS, lambda: order.append("worked") or "heard")
    machine._settings = replace(SETTINGS, gpu_lock=lock)
    return machine


class GivenUp(Exception):
    pass


def test_whoever_waits_can_give_up(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "TELL_EVERY_S", 0.01)
    lock = str(tmp_path / "gpu.lock")

    def give_up() -> None:
        raise GivenUp

    with turn(lock), pytest.raises(GivenUp), turn(lock, give_up):
        pass
    with turn(lock, give_up):
        pass


def test_the_engine_waits_for_its_turn_whatever_it_is_asked():
    methods = (LocalEngine.transcribe, LocalEngine.transcribe_utterance, LocalEngine.draft)
    assert all(hasattr(method, "__wrapped__") for method in methods)
    assert issubclass(LocalEngine, turns.OnDevice)


def test_this_machine_has_none():
    if find_device(replace(SETTINGS, model_dir="")).kind == "cuda":
        pytest.skip("there is a GPU here")
    assert find_device(SETTINGS).why


def test_an_encoding_in_any_type_of_a_gpu_can_be_read():
    values = np.ones((1, 4, 3), dtype=np.float32)
    for kind in (DataType.float32, DataType.float16, DataType.bfloat16):
        assert np.array_equal(model.as_array(StorageView.from_array(values).to(kind)), values)


@pytest.mark.parametrize(("first", "last", "n"), [(0, 10, 10), (0, 80, 81), (20, 200, 79), (99, 99, 1)])
def test_a_part_of_an_encoding_is_never_taken_for_a_spectrum(first, last, n):
    part = model.part_of(np.ones((1, 100, 3), dtype=np.float32), first, last, n_mels=80)
    assert part.shape == [1, n, 3]
