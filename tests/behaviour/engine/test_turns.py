"""Whose turn it is: held by the starting thread, lent to one worker call, cut short between two steps."""

import threading

import pytest

from pytest_lambda_telemetry import MisuseError
from pytest_lambda_telemetry.engine.turns import Interrupted, Turns, WorkerCall


class Abandoned:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def turns() -> Turns:
    return Turns(threading.Condition(), Abandoned())


def on_a_thread(call: object) -> list[object]:
    """What a call returned or raised on a thread of its own."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(call() if callable(call) else None)
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, name="another")
    thread.start()
    thread.join(10)
    return results


def test_only_the_thread_that_started_has_the_turn(turns: Turns) -> None:
    assert turns.mine
    (error,) = on_a_thread(lambda: turns.hold("advance()"))
    assert isinstance(error, MisuseError)
    assert str(error).startswith("advance() was called on thread 'another', but only one thread moves time")


def test_a_worker_call_has_the_turn_until_it_ends(turns: Turns) -> None:
    call = WorkerCall(turns, moves_time=True)
    assert call.lend()
    assert not turns.mine
    assert not WorkerCall(turns, moves_time=True).lend()

    def work() -> bool:
        with turns.hold("advance()"):
            return turns.mine

    assert on_a_thread(lambda: call.run(work)) == [True]
    assert call.ended
    assert turns.mine


def test_other_code_on_the_workers_thread_has_no_part_in_it(turns: Turns) -> None:
    call, other = WorkerCall(turns, moves_time=True), WorkerCall(turns)
    assert call.lend()
    assert on_a_thread(lambda: call.run(lambda: on_a_thread(lambda: turns.mine))) == [[False]]
    assert on_a_thread(lambda: other.run(lambda: turns.mine)) == [False]


def test_a_call_that_is_interrupted_ends_at_its_next_step(turns: Turns) -> None:
    call = WorkerCall(turns, moves_time=True)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with turns.hold("advance()"):
            turns.check()
            begun.set()
            go_on.wait(10)
            turns.check()

    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(on_a_thread(lambda: call.run(work))))
    thread.start()
    begun.wait(10)
    call.interrupt()
    go_on.set()
    thread.join(10)
    assert isinstance(results[0], Interrupted)
    with turns.hold("advance()"):
        turns.check()  # the next call is another


def test_a_call_that_was_interrupted_before_it_began_is_never_made(turns: Turns) -> None:
    call = WorkerCall(turns, moves_time=True)
    assert call.lend()
    call.interrupt()
    assert turns.mine
    with pytest.raises(Interrupted):
        call.run(lambda: None)


def test_the_end_of_a_test_takes_the_turn_and_cuts_short_who_has_it(turns: Turns) -> None:
    holding = threading.Event()

    def work() -> None:
        with turns.hold_in_background():
            holding.set()
            while True:
                turns.check()

    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(on_a_thread(work)))
    thread.start()
    holding.wait(10)
    with turns.take_over():
        assert turns.mine
    thread.join(10)
    assert isinstance(results[0], Interrupted)


def test_nested_holds_note_the_same_batches_and_end_once(turns: Turns) -> None:
    ends: list[str] = []
    turns.at_end.append(lambda: ends.append("end"))
    with turns.hold("a()"):
        with turns.hold("b()"):
            assert turns.held
            assert turns.held_here
        assert ends == []
    assert ends == ["end"]
    assert not turns.held
