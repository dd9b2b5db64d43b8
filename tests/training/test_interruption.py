"""Laws of steadygrad.training.interruption."""

import os
import signal

import pytest

from steadygrad.training.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    # A shell's background jobs start with SIGINT ignored; Python's own handler is what counts here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interruption(), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
