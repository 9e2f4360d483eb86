"""Ctrl-C is heeded even where Python drops the exception."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from bench.execution.interrupt import heeded


class Careless:
    """Its finaliser is struck by Ctrl-C, where Python ignores exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_raised_at_the_next_step() -> None:
    with heeded() as ask:
        ask()
        careless = Careless()
        del careless
        with pytest.raises(KeyboardInterrupt):
            ask()


def test_an_interrupt_strikes_at_once_where_it_can_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heeded(), pytest.raises(KeyboardInterrupt):
        _press()
    assert signal.getsignal(signal.SIGINT) is before


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass


def test_other_threads_work_without_it() -> None:
    done = []

    def work() -> None:
        with heeded() as ask:
            ask()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
