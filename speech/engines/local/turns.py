"""A model on its device. A GPU is shared: one process of the machine computes on it at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

from speech.engines.base import AUTO_DEVICE, CUDA, EngineSettings
from speech.engines.local.device import Device, cpu, gpu_failed, reason, turn
from speech.engines.local.model import Model, load_model, load_on_cpu
from speech.errors import EngineFailed

logger = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])


class OnDevice:
    """Holds the model of an engine. If the GPU fails, and need not be used, later work is done on the CPU."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._model: Model = load_model(settings)

    @property
    def runs_on(self) -> Device:
        return self._model.runs_on

    @contextmanager
    def turn(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        if self.runs_on.kind != CUDA:
            yield
            return
        with turn(self._settings.gpu_lock, on_wait) if self._settings.gpu_lock else nullcontext():
            try:
                yield
            except EngineFailed as e:
                problem = e.__cause__
                if problem is not None and gpu_failed(problem) and self._settings.device == AUTO_DEVICE:
                    self._leave_gpu(reason(problem))
                raise

    def _leave_gpu(self, why: str) -> None:
        logger.warning("The model %s leaves the GPU for the CPU: %s", self._settings.model, why)
        self._model = load_on_cpu(self._settings, cpu(self._settings, why))


def in_turn(method: Method) -> Method:
    """Let a method of an OnDevice wait for its turn on the GPU."""

    @wraps(method)
    def called(self: OnDevice, *given: Any, **named: Any) -> Any:
        with self.turn(named.get("on_wait")):
            return method(self, *given, **named)

    return cast(Method, called)
