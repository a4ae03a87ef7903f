"""Internal extensions: the runtime starts them, so they register from a child that was started as something else."""

from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings, WaitTimeout
from tests.support.helpers import register, running
from tests.support.programs import program

INTERNAL = Settings(internal_extensions=("internal-agent",), extension_timeout_s=30.0)
AGENT = "me = register('internal-agent', ['INVOKE'])\nsubscribe(me, serve())\nwhile next_event(me): pass"
SHELL = '#!/bin/sh\n"$@" &\nexec sleep 60\n'


@pytest.mark.parametrize("inside", ["the child itself", "a child of the child"])
def test_a_child_has_registered_with_the_internal_extension_that_it_runs(inside: str, tmp_path: Path) -> None:
    command = program(tmp_path, AGENT, "agent.py")
    if inside != "the child itself":
        wrapper = tmp_path / "wrapper.sh"
        wrapper.write_text(SHELL)
        command = ["/bin/sh", str(wrapper), *command]
    with LambdaTelemetry(INTERNAL) as environment:
        process = environment.run_extension(command, name="wrapper.sh")
        assert environment.wait_until_ready(timeout=30).name == "internal-agent"
        assert "has not registered" not in environment.timeline()
        assert environment.invoke(logs=["hello"]).outcome == "completed"
        environment.shutdown()
        assert environment.records() == ("hello",)
        assert process.returncode is not None


def test_its_end_is_that_of_the_internal_extension(tmp_path: Path) -> None:
    with LambdaTelemetry(INTERNAL) as environment:
        body = "me = register('internal-agent', ['INVOKE']); next_event(me); sys.exit(4)"
        process = environment.run_extension(program(tmp_path, body), name="wrapper.sh")
        environment.wait_until_ready("internal-agent", timeout=30)
        assert environment.invoke().outcome == "completed"
        assert process.wait(30) == 4
        with pytest.raises(
            WaitTimeout, match=r"the process of extension 'wrapper\.sh' ended by itself with exit code 4"
        ):
            environment.wait_until_ready("internal-agent", timeout=60)


def test_one_in_a_thread_stands_for_no_child(tmp_path: Path) -> None:
    def run() -> None:
        with LambdaTelemetry(INTERNAL) as environment:
            environment.run_extension(program(tmp_path, "for_ever()"))
            with running(lambda: register("internal-agent", ["INVOKE"])):
                environment.wait_for_extension("internal-agent")

    with pytest.raises(ProtocolViolation, match=r"the process of extension 'ext\.py' was started and did not register"):
        run()
