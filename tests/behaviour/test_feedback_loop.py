"""An extension whose output about its telemetry comes back to it as telemetry."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings, events
from tests.support.helpers import Listener
from tests.support.programs import noted, program, subscriber

LOOP = (
    "feedback loop: extension 'ext.py' is subscribed to 'extension' and writes output for every batch it receives,"
    " which comes back to it as the next batch; three batches in a row held nothing else.\n"
    "  On Lambda this runs for ever and is billed. Write nothing while handling telemetry, or subscribe without"
    " 'extension'."
)
PER_BATCH = "lambda batch: say(f'{len(batch)} events')"


@pytest.fixture
def lambda_telemetry_settings() -> Settings:
    return Settings(shutdown_timeout_s=0.5)


def check_for_loop(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        lambda_telemetry.check()
    assert str(caught.value) == LOOP
    assert noted(lambda_telemetry, "note") == ["ext.py: feedback loop: its further output is not delivered to itself"]


@pytest.mark.parametrize("types", [["extension"], ["platform", "function", "extension"]])
def test_an_extension_that_prints_for_every_batch_is_a_loop(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, types: list[str]
) -> None:
    lambda_telemetry.run_extension(subscriber(tmp_path, on_batch=PER_BATCH, types=types))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.emit(events.extension("something to begin with"))
    deliveries = lambda_telemetry.advance(seconds=3600)
    assert len(deliveries) == 4  # one with a cause of its own, three echoes
    assert [delivery.types for delivery in deliveries[1:]] == [("extension",)] * 3
    check_for_loop(lambda_telemetry)
    assert lambda_telemetry.advance(seconds=3600) == ()


def test_a_loop_shows_across_calls_too(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    lambda_telemetry.run_extension(subscriber(tmp_path, on_batch=PER_BATCH))
    lambda_telemetry.wait_until_ready()
    for _ in range(3):
        assert len(lambda_telemetry.flush()) == 1
        lambda_telemetry.check()
    assert len(lambda_telemetry.flush()) == 1
    check_for_loop(lambda_telemetry)
    assert lambda_telemetry.flush() == ()


def test_an_invocation_ends_although_there_is_a_loop(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    lambda_telemetry.run_extension(subscriber(tmp_path, on_batch=PER_BATCH))
    lambda_telemetry.wait_until_ready()
    with lambda_telemetry.invocation(duration_ms=2_900) as invocation:
        invocation.log("work")
    assert invocation.outcome == "completed"
    check_for_loop(lambda_telemetry)


def test_printing_just_after_the_answer_is_a_loop_too(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
me = register("ext.py")
subscribe(me, serve(after=lambda batch: say("done")), ["extension"])
say("ready")
until_shutdown(me)
"""
    lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.advance(seconds=60)
    check_for_loop(lambda_telemetry)


def test_several_lines_after_the_answer_are_a_loop_too(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
me = register("ext.py")
subscribe(me, serve(after=lambda batch: (say("one"), say("two"))), ["function", "extension"])
until_shutdown(me)
"""
    lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.emit(events.function("something to begin with"))
    lambda_telemetry.advance(seconds=60)
    check_for_loop(lambda_telemetry)


def test_a_loop_over_tcp_shows_although_nothing_is_answered(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
server = socket.create_server(("sandbox.localdomain", 0))
port = server.getsockname()[1]
def read():
    connection, _ = server.accept()
    while connection.recv(65536):
        say("read")
threading.Thread(target=read, daemon=True).start()
me = register("ext.py")
subscribe(me, port, ["extension"],
          destination={"protocol": "TCP", "port": port, "URI": f"tcp://sandbox.localdomain:{port}"})
until_shutdown(me)
"""
    lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.emit(events.extension("something to begin with"))
    lambda_telemetry.advance(seconds=60)
    check_for_loop(lambda_telemetry)


def test_a_loop_is_told_of_at_the_end(tmp_path: Path) -> None:
    environment = LambdaTelemetry(Settings(shutdown_timeout_s=0.5))
    environment.__enter__()
    environment.run_extension(subscriber(tmp_path, on_batch=PER_BATCH))
    environment.wait_until_ready()
    environment.advance(seconds=10)
    with pytest.raises(ProtocolViolation, match="feedback loop: extension 'ext"):
        environment.__exit__(None, None, None)


def test_two_extensions_that_answer_each_other_are_a_loop(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = "me = register('{0}')\nsubscribe(me, serve({1}), ['extension'])\nuntil_shutdown(me)"
    for name in ("ping.py", "pong.py"):
        lambda_telemetry.run_extension(program(tmp_path, body.format(name, "lambda batch: say('echo')"), name))
        lambda_telemetry.wait_until_ready(name)
    lambda_telemetry.emit(events.extension("begin"))
    assert len(lambda_telemetry.advance(seconds=3600)) < 20
    with pytest.raises(ProtocolViolation, match=r"feedback loop: extension '(ping|pong)\.py'"):
        lambda_telemetry.check()


# -- what is none ------------------------------------------------------------------------------------------------------


def test_one_line_per_invocation_is_none(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    on_event = "lambda event: say(event['eventType'])"
    lambda_telemetry.run_extension(subscriber(tmp_path, types=["extension"], on_event=on_event))
    lambda_telemetry.wait_until_ready()
    for _ in range(8):
        lambda_telemetry.invoke(logs=["work"])
    lambda_telemetry.thaw()
    lambda_telemetry.flush()
    lambda_telemetry.check()
    assert {delivery.types for delivery in lambda_telemetry.deliveries} <= {("extension",) * n for n in range(1, 9)}


def test_a_line_for_every_batch_of_function_logs_is_none(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    on_batch = "lambda batch: any(event['type'] == 'function' for event in batch) and say('shipped')"
    lambda_telemetry.run_extension(subscriber(tmp_path, on_batch=on_batch, types=["function", "extension"]))
    lambda_telemetry.wait_until_ready()
    for _ in range(6):
        lambda_telemetry.emit(events.function("work"))
        assert [one.types for one in lambda_telemetry.advance(seconds=1)] == [("function",), ("extension",)]
    lambda_telemetry.check()


def test_output_that_batches_have_not_caused_is_none(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
me = register("ext.py")
subscribe(me, serve(), ["extension"])
for number in range(4500):
    sys.stdout.write(f"{number}\\n")
say("end")
until_shutdown(me)
"""
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.wait_until(lambda: child.output.endswith("end\n"))
    deliveries = lambda_telemetry.advance(seconds=10)
    assert [len(delivery.types) for delivery in deliveries] == [1000, 1000, 1000, 1000, 501]
    lambda_telemetry.check()


def test_a_quick_heartbeat_is_none(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
def beat():
    while not ended.wait(0.004):
        say("beat")
ended = threading.Event()
me = register("ext.py")
subscribe(me, serve(), ["extension"])
threading.Thread(target=beat, daemon=True).start()
until_shutdown(me)
"""
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    for _ in range(5):
        lambda_telemetry.wait_until(lambda: child.has_lines)
        lambda_telemetry.advance(seconds=3600)
    lambda_telemetry.check()


def test_another_extensions_output_is_none(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = "me = register('loud.py')\nsubscribe(me, serve(lambda batch: say('seen')), ['function'])\nuntil_shutdown(me)"
    lambda_telemetry.run_extension(program(tmp_path, body, "loud.py"))
    lambda_telemetry.wait_until_ready()
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, ["extension"], buffering={"timeoutMs": 100})
        for _ in range(6):
            lambda_telemetry.emit(events.function("work"))
            lambda_telemetry.advance(seconds=1)
        assert [event["record"] for batch in listener.batches for event in batch] == ["seen"] * 6
    lambda_telemetry.check()
