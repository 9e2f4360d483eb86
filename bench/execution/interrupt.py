"""Ctrl-C that cannot get lost: Python drops a KeyboardInterrupt that strikes where exceptions are ignored."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def heeded() -> Iterator[Callable[[], None]]:
    """Within, what this yields raises KeyboardInterrupt if Ctrl-C was pressed, also where the first one was dropped.

    A finaliser or a weak reference's callback swallows every exception; whoever works in steps asks before each.
    Outside the main thread, where signals do not arrive, nothing changes.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    def ask() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield ask
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield ask
    finally:
        signal.signal(signal.SIGINT, before)
