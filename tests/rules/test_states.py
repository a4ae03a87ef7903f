"""Every pair of the two transition tables, spelled out a second time."""

from itertools import product

import pytest

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.protocol.states import (
    EXTENSION_TRANSITIONS,
    PHASE_TRANSITIONS,
    Call,
    ExtensionState,
    Phase,
    Trigger,
    advance_extension,
    advance_phase,
    init_over,
)

# state: what each call makes of it; a call that is not named is refused
EXTENSION = {
    "Registered": "subscribe=Registered next=Ready init_error=InitError exit_error=ExitError exit=Exited",
    "Ready": "subscribe=Ready invoke=Running shutdown=ShuttingDown exit_error=ExitError exit=Exited",
    "Running": "subscribe=Running next=Ready exit_error=ExitError exit=Exited",
    "ShuttingDown": "subscribe=ShuttingDown next=ShuttingDown exit_error=ExitError exit=Exited",
    "InitError": "init_error=InitError exit=InitError",
    "ExitError": "exit_error=ExitError exit=ExitError",
    "Exited": "",
}

SHUT_DOWN = "the environment has shut down: restart() begins a new one"
ENVIRONMENT = {
    "init": "end_init=idle shutdown=shutdown close=closed",
    "idle": "invocation_start=invoke shutdown=shutdown close=closed",
    "invoke": "invocation_end=idle shutdown=shutdown close=closed",
    "shutdown": "shutdown=shutdown close=closed restart=init",
    "closed": "shutdown=closed close=closed",
}


def moves(table: dict[str, str]) -> dict[tuple[str, str], str]:
    pairs = ((state, move.split("=")) for state, row in table.items() for move in row.split())
    return {(state, move): after for state, (move, after) in pairs}


def test_the_tables_know_every_state() -> None:
    assert list(EXTENSION) == [str(state) for state in ExtensionState]
    assert list(ENVIRONMENT) == [str(phase) for phase in Phase]
    assert moves(EXTENSION).keys() == EXTENSION_TRANSITIONS.keys()
    assert moves(ENVIRONMENT).keys() == PHASE_TRANSITIONS.keys()


@pytest.mark.parametrize(("state", "call"), [*product(ExtensionState, Call)])
def test_extensions_move_by_the_table(state: ExtensionState, call: Call) -> None:
    verdict = advance_extension(state, call, "ext")
    if isinstance(verdict, Refusal):
        assert (state, call) not in moves(EXTENSION)
        assert (verdict.status, verdict.error_type) == (403, "Extension.InvalidExtensionState")
        assert verdict.message == f"Extension ext is {state}: {call} is not allowed"
    else:
        assert verdict is ExtensionState(moves(EXTENSION)[state, call])


@pytest.mark.parametrize("error", [Call.INIT_ERROR, Call.EXIT_ERROR])
@pytest.mark.parametrize("call", [Call.SUBSCRIBE, Call.NEXT, Call.INIT_ERROR, Call.EXIT_ERROR])
def test_after_an_error_report_no_call_succeeds_but_the_same_again(error: Call, call: Call) -> None:
    state = advance_extension(ExtensionState.REGISTERED, error, "ext")
    assert isinstance(state, ExtensionState)
    after = advance_extension(state, call, "ext")
    assert after is state if call is error else isinstance(after, Refusal)


def test_a_refused_move_lists_those_that_are_possible() -> None:
    verdict = advance_extension(ExtensionState.RUNNING, Call.INIT_ERROR, "ext\ud800")
    assert isinstance(verdict, Refusal)
    assert verdict.message == "Extension ext\\ud800 is Running: init_error is not allowed"
    assert verdict.faults[0].rule == "in state Running the moves are: subscribe, next, exit_error, exit"
    gone = advance_extension(ExtensionState.EXITED, Call.NEXT, "ext")
    assert isinstance(gone, Refusal)
    assert gone.faults[0].rule == "in state Exited the moves are: nothing"


@pytest.mark.parametrize(("phase", "trigger"), [*moves(ENVIRONMENT)])
def test_the_environment_moves_by_the_table(phase: str, trigger: str) -> None:
    assert advance_phase(Phase(phase), Trigger(trigger)) is Phase(moves(ENVIRONMENT)[phase, trigger])


@pytest.mark.parametrize(
    ("phase", "trigger", "message"),
    [
        (
            "init",
            "invocation_start",
            "cannot start an invocation: the environment is still initializing: end init first",
        ),
        ("init", "invocation_end", "cannot end an invocation: the environment is still initializing: end init first"),
        ("idle", "end_init", "cannot end init: init is over and no invocation is running"),
        ("idle", "invocation_end", "cannot end an invocation: init is over and no invocation is running"),
        ("invoke", "end_init", "cannot end init: an invocation is running: let it end first"),
        ("invoke", "invocation_start", "cannot start an invocation: an invocation is running: let it end first"),
        ("shutdown", "end_init", f"cannot end init: {SHUT_DOWN}"),
        (
            "shutdown",
            "invocation_start",
            f"cannot start an invocation: {SHUT_DOWN}",
        ),
        (
            "shutdown",
            "invocation_end",
            f"cannot end an invocation: {SHUT_DOWN}",
        ),
        ("closed", "end_init", "cannot end init: the environment is closed: use a new one"),
        ("closed", "invocation_start", "cannot start an invocation: the environment is closed: use a new one"),
        ("closed", "invocation_end", "cannot end an invocation: the environment is closed: use a new one"),
    ],
)
def test_a_move_of_the_environment_that_cannot_be(phase: str, trigger: str, message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        advance_phase(Phase(phase), Trigger(trigger))
    assert str(caught.value) == message


def test_every_pair_of_phase_and_trigger_is_decided() -> None:
    decided = set(moves(ENVIRONMENT))
    assert len(decided) + 16 == len(list(product(Phase, Trigger)))


def test_init_is_over_in_every_phase_but_init() -> None:
    assert [phase for phase in Phase if not init_over(phase)] == [Phase.INIT]
