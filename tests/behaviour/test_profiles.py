"""What the profiles do differently and only a whole environment shows: the rows that no rule alone decides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Settings, events
from pytest_lambda_telemetry.protocol.profiles import LINE_END, RECORD_CUT, STATE_AGAIN, Difference, Fidelity
from tests.support.helpers import Listener, register, subscribe, subscribe_body
from tests.support.programs import program

LONG = 300_000


def state_again(environment: LambdaTelemetry, listener: Listener, _: Path) -> str | None:
    """The state in the event about the same subscription, sent again; None where there is no such event."""
    identifier, body = register(), subscribe_body(listener.port, types=["platform"])
    assert [subscribe(identifier, body).status for _ in range(2)] == [200, 200]
    environment.flush()
    sent = [event for batch in listener.batches for event in batch]
    first, *more = [event["record"]["state"] for event in sent if event["type"] == "platform.telemetrySubscription"]
    assert (first, len(more) < 2) == ("Subscribed", True)
    return more[0] if more else None


def record_cut(environment: LambdaTelemetry, listener: Listener, _: Path) -> bool:
    """A record longer than maxBytes is cut: the bodies are no JSON then."""
    environment.subscribe(listener.uri, ["function"])
    environment.emit(events.function("x" * LONG))
    environment.flush()
    cut = len(listener.bodies) > 1
    assert cut is not listener.bodies[0].endswith(b'x"}]')
    return cut


def line_end(environment: LambdaTelemetry, listener: Listener, folder: Path) -> str:
    """What follows the text of a line that a process has written."""
    environment.subscribe(listener.uri, ["extension"])
    environment.run_extension(program(folder, "say('line')")).wait()
    environment.flush()
    [[event]] = listener.batches
    return str(event["record"]).removeprefix("line")


@pytest.mark.parametrize("fidelity", ["documented", "observed"])
@pytest.mark.parametrize(
    ("row", "probe"),
    [(STATE_AGAIN, state_again), (RECORD_CUT, record_cut), (LINE_END, line_end)],
    ids=lambda value: value.key if isinstance(value, Difference) else "",
)
def test_an_environment_does_what_the_row_says(
    row: Difference[object],
    probe: Callable[[LambdaTelemetry, Listener, Path], object],
    fidelity: Fidelity,
    tmp_path: Path,
) -> None:
    settings = Settings(fidelity=fidelity)
    with LambdaTelemetry(settings) as environment, Listener() as listener:
        assert probe(environment, listener, tmp_path) == row.under(settings.profile)
