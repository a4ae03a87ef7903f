"""`sandbox.localdomain` and `sandbox` in child processes: the best way the machine allows, and the fallback."""

import shutil
import socket
import sys
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Settings, events
from pytest_lambda_telemetry.host.child_names import choose
from tests.support.programs import noted, program, subscriber

HINT = (
    "on this machine only Python and Node.js children resolve sandbox.localdomain and sandbox: it allows no private"
    " mount namespace. For any other extension add this line to /etc/hosts: 127.0.0.1 sandbox.localdomain sandbox"
    " (with it the names are 127.0.0.1 in every test)"
)
SHIMS = "child processes resolve sandbox.localdomain through PYTHONPATH and NODE_OPTIONS: in Python and Node.js only"


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_LAMBDA_TELEMETRY_NO_NAMESPACES", "1")
    if not choose().shims:
        pytest.skip("the hosts file of this machine resolves the names")


@pytest.fixture
def lambda_telemetry_settings() -> Settings:
    return Settings(shutdown_timeout_s=0.5)


LOOK_UP = "say([socket.gethostbyname(name) for name in ('sandbox.localdomain', 'sandbox')])"


def own_address() -> str:
    """What the names resolve to in this process: the environment's own address, 127.x.y.z."""
    address = socket.gethostbyname("sandbox")
    assert address.startswith("127.")
    return address


def both() -> str:
    return f"{[own_address()] * 2}\n"


def test_the_names_resolve_in_a_child_and_in_this_process(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, LOOK_UP))
    assert child.wait() == 0
    assert child.output == both()
    assert [socket.gethostbyname(name) for name in ("sandbox.localdomain", "sandbox")] == [own_address()] * 2


@pytest.mark.skipif(not shutil.which("getent"), reason="needs getent")
def test_any_program_resolves_them_where_namespaces_are_allowed(lambda_telemetry: LambdaTelemetry) -> None:
    if choose().shims:
        pytest.skip("this machine allows no mount namespace")
    child = lambda_telemetry.run_extension(["getent", "hosts", "sandbox.localdomain"])
    assert child.wait() == 0
    assert child.output.split()[:2] == [own_address(), "sandbox.localdomain"]


@pytest.mark.usefixtures("no_namespaces")
def test_without_namespaces_a_python_child_resolves_them(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, LOOK_UP))
    assert child.wait() == 0
    assert child.output == both()


@pytest.mark.usefixtures("no_namespaces")
@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_without_namespaces_a_node_child_resolves_them(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    script = tmp_path / "look.js"
    script.write_text('require("dns").lookup("sandbox.localdomain", (error, address) => console.log(address));')
    child = lambda_telemetry.run_extension(["node", str(script)])
    assert child.wait(timeout=20) == 0
    assert child.output == f"{own_address()}\n"


@pytest.mark.usefixtures("no_namespaces")
def test_without_namespaces_a_whole_life_works(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(subscriber(tmp_path, on_batch="lambda batch: say(len(batch))"))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.emit(events.function("hello"))
    [delivery] = lambda_telemetry.advance(ms=100)
    assert delivery.ok
    lambda_telemetry.shutdown()
    assert child.returncode == 0


@pytest.mark.usefixtures("no_namespaces")
def test_the_fallback_is_in_the_journal_and_its_hint_is_there_once(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    children = [lambda_telemetry.run_extension(program(tmp_path, "", f"{name}.py")) for name in ("one", "two")]
    assert noted(lambda_telemetry, "lifecycle") == [
        f"{child.name}: started as process {child.pid} {SHIMS}" for child in children
    ]
    assert [(entry.who, entry.what) for entry in lambda_telemetry.journal if entry.kind == "note"] == [("one.py", HINT)]
    assert lambda_telemetry.timeline().count(HINT) == 1


@pytest.mark.usefixtures("no_namespaces")
def test_the_hint_is_shown_once_in_a_session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_child(lambda_telemetry, number):
            lambda_telemetry.run_extension([{sys.executable!r}, "-c", "pass"], name="ext").wait()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "pytest_lambda_telemetry.plugin")
    result.assert_outcomes(passed=3)
    assert result.stdout.str().count(HINT) == 1
    result.stdout.fnmatch_lines([f"AWS Lambda telemetry: {HINT}"])


def test_where_every_child_is_served_there_is_no_hint(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    if choose().shims:
        pytest.skip("this machine allows no mount namespace")
    lambda_telemetry.run_extension(program(tmp_path, ""))
    assert "/etc/hosts" not in lambda_telemetry.timeline()
