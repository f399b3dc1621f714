"""Requests to stop from outside."""

import os
import signal

import pytest

from unplateau.engine.requests import StopRequests, forget_lost_workers


@pytest.mark.skipif(os.name == "nt", reason="Windows has no os.kill for these signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "preempted")])
def test_a_signal_becomes_a_request_and_the_old_handler_comes_back(number: signal.Signals, code: str) -> None:
    before = signal.getsignal(number)
    with StopRequests() as requests:
        assert requests.pending() is None
        os.kill(os.getpid(), number)
        assert requests.pending() == code
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no os.kill for these signals")
def test_a_second_ctrl_c_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequests():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        signal.getsignal(signal.SIGINT)


def test_the_time_budget_is_a_request_when_it_is_used_up() -> None:
    now = [100.0]
    requests = StopRequests(time_budget_seconds=60, clock=lambda: now[0])
    now[0] = 159.0
    assert requests.pending() is None
    now[0] = 160.0
    assert requests.pending() == "time-budget"


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="Windows has no such signal")
def test_a_loader_process_that_dies_while_the_end_is_written_raises_nothing() -> None:
    def raising(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker is killed by signal: Killed.")

    before = signal.signal(signal.SIGCHLD, raising)
    try:
        forget_lost_workers()
        os.kill(os.getpid(), signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCHLD, before)
