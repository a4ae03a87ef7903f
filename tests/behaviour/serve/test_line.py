"""The line in which calls that move time stand."""

import threading

import pytest

from pytest_lambda_telemetry.engine.turns import Interrupted, Turns, WorkerCall
from pytest_lambda_telemetry.serve.line import Line
from tests.support.helpers import running


class Call(WorkerCall):
    """Tells that it stands in line: it is asked whether it is to go on waiting."""

    def __init__(self) -> None:
        super().__init__(Turns(threading.Condition(), lambda: None))
        self.stands = threading.Event()

    @property
    def ended(self) -> bool:
        if threading.current_thread() is not threading.main_thread():
            self.stands.set()
        return super().ended


def test_calls_go_in_order_of_arrival() -> None:
    line, went = Line(), list[int]()

    def go(number: int, call: Call) -> None:
        with line.place(call):
            went.append(number)

    threads = []
    with line.place(Call()):
        assert not line.empty
        for number in range(10):
            call = Call()
            threads.append(threading.Thread(target=go, args=(number, call)))
            threads[-1].start()
            assert call.stands.wait(60)
        assert went == []
    for thread in threads:
        thread.join(60)
    assert went == list(range(10))
    assert line.empty


def test_one_that_is_cut_short_leaves_the_line() -> None:
    line, call, first = Line(), Call(), Call()

    def go() -> None:
        with pytest.raises(Interrupted), line.place(call):
            raise AssertionError("it was never to begin")

    with line.place(first), running(go) as thread:
        assert call.stands.wait(60)
        call.interrupt()
        thread.join(60)
        assert not thread.is_alive()
    assert line.empty
