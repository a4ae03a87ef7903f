"""What the profiles do differently and only a whole environment shows: the rows that no rule alone decides."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Settings, events
from pytest_lambda_telemetry.protocol.profiles import CUT_RECORDS, LINE_END, STATE_AGAIN, Difference, Fidelity
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


def cut_records(environment: LambdaTelemetry, listener: Listener, _: Path) -> bool:
    """A record that is longer than `maxBytes` is cut into two bodies, neither of them JSON."""
    environment.emit(events.function("x" * LONG))  # before the subscription too
    environment.subscribe(listener.uri, ["function", "extension"], buffering={"maxBytes": 262_144})
    environment.emit(events.extension("x" * LONG))
    environment.flush()
    assert b"".join(listener.bodies).count(b"x") == 2 * LONG + sum(body.count(b"extension") for body in listener.bodies)
    decoded = [is_json(body) for body in listener.bodies]
    assert decoded in ([True, True], [False, False, False])
    return not all(decoded)


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


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
    [(STATE_AGAIN, state_again), (CUT_RECORDS, cut_records), (LINE_END, line_end)],
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
