"""Lambda knows an extension by the name of its file: who registers under another, and who is not to be confused."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings, WaitTimeout
from tests.support.living import living
from tests.support.programs import noted, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no other system tells which process calls")

BASE = Settings(extension_timeout_s=5.0, shutdown_timeout_s=0.5)
SOUND = "until_shutdown(register('{0}'))"
HELPER = """
child = subprocess.Popen([sys.executable, '-c', '''
import os
from http.client import HTTPConnection
connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
path, name, identifier = "/2020-01-01/extension/", "Lambda-Extension-Name", "Lambda-Extension-Identifier"
connection.request("POST", path + "register", "{{}}", {{name: "{0}"}})
answer = connection.getresponse()
answer.read()
if answer.status == 200:
    connection.request("GET", path + "event/next", headers={{identifier: answer.getheader(identifier)}})
    connection.getresponse()
'''])
"""


def told(name: str, file_name: str) -> str:
    return f"Extension name {name} differs from its file name {file_name}"


def test_a_child_that_registers_under_another_name_is_refused(tmp_path: Path) -> None:
    with LambdaTelemetry(BASE) as environment:
        environment.run_extension(program(tmp_path, "register('my-extension'); for_ever()"))
        with pytest.raises(WaitTimeout) as caught:
            environment.wait_until_ready()
        assert str(caught.value) == (
            "gave up waiting for an extension to register and ask for its next event:\n"
            "Register from extension 'my-extension' was refused: 403 Extension.InvalidExtensionName:"
            f" {told('my-extension', 'ext.py')}\n"
            '  body:  {"events": ["INVOKE", "SHUTDOWN"]}\n'
            "  rule:  send the file name of the extension in Lambda-Extension-Name (Extensions API); in a test,"
            " run_extension(..., name=...) says how the file is called on Lambda\n"
            "  On Lambda this fails the extension, and with it every invocation. If the test means it to be refused,"
            " wrap it in expect_rejection(route='register'); strict=False turns this check off."
        )
        environment.shutdown()
        with pytest.raises(ProtocolViolation, match=r"'ext\.py' was started and did not register"):
            environment.check()


def test_a_refusal_that_is_expected_is_no_violation(tmp_path: Path) -> None:
    body = "register('other'); until_shutdown(register('ext.py'))"
    with LambdaTelemetry(BASE) as environment:
        with environment.expect_rejection("differs from its file name", route="register"):
            environment.run_extension(program(tmp_path, body))
        environment.invoke()
        assert [one.name for one in environment.extensions] == ["ext.py"]


def test_a_helper_that_registers_in_its_stead_is_refused_too(tmp_path: Path) -> None:
    with LambdaTelemetry(BASE) as environment:
        with environment.expect_rejection(route="register") as handle:
            environment.run_extension(
                program(tmp_path, HELPER.format("helper") + "child.wait()\n" + SOUND.format("ext.py"))
            )
        environment.invoke()
        assert handle.rejection.message == told("helper", "ext.py")


@pytest.mark.parametrize("swapped", [True, False])
def test_two_children_are_told_apart(tmp_path: Path, swapped: bool) -> None:
    names = {"one.py": "two.py", "two.py": "one.py"} if swapped else {"one.py": "one.py", "two.py": "two.py"}
    with LambdaTelemetry(replace(BASE, strict=False)) as environment:
        for file_name, name in names.items():
            environment.run_extension(program(tmp_path, f"register('{name}'); for_ever()", file_name))
        environment.wait_until(lambda: len(environment.requests) == 2)
        answers = {str(one.response) for one in environment.requests}
        for file_name, name in names.items():
            assert any(told(name, file_name) in answer for answer in answers) == swapped


# -- sound twins -------------------------------------------------------------------------------------------------------


def test_the_name_that_a_test_gives_counts(tmp_path: Path) -> None:
    with LambdaTelemetry(BASE) as environment:
        environment.run_extension(program(tmp_path, SOUND.format("my-extension")), name="my-extension")
        environment.invoke()


def test_an_extension_of_this_process_beside_a_child_that_has_not_registered(tmp_path: Path) -> None:
    late = "while not os.path.exists('go'): threading.Event().wait(0.01)\n"
    with living() as make, LambdaTelemetry(BASE) as environment:
        environment.run_extension(program(tmp_path, late + SOUND.format("ext.py")), cwd=tmp_path)
        make("in-process", subscribes=False)
        environment.register("by hand")
        (tmp_path / "go").touch()
        environment.invoke()
        assert sorted(one.name for one in environment.extensions) == ["by hand", "ext.py", "in-process"]
        environment.shutdown()


def test_an_internal_extension_of_the_runtime_registers_from_inside_a_child(tmp_path: Path) -> None:
    body = "inner = register('agent', ['INVOKE'])\nthreading.Thread(target=until_shutdown, args=(inner,),"
    body += " daemon=True).start()\n"
    with LambdaTelemetry(replace(BASE, internal_extensions=("agent",))) as environment:
        environment.run_extension(program(tmp_path, body + SOUND.format("ext.py")))
        environment.invoke()
        assert [one.name for one in environment.extensions] == ["agent", "ext.py"]


def test_a_child_that_has_registered_may_have_a_helper_that_does(tmp_path: Path) -> None:
    body = "me = register('ext.py')\n" + HELPER.format("helper") + "until_shutdown(me)\nchild.wait()"
    with LambdaTelemetry(BASE) as environment:
        environment.run_extension(program(tmp_path, body))
        environment.wait_until_ready("helper")
        environment.invoke()
        assert noted(environment, "note") == []
