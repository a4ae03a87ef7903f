"""Extensions as child processes: started, heard, waited for, frozen and ended as Lambda does it."""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, ProtocolViolation, Settings, WaitTimeout, events
from pytest_lambda_telemetry.host.child_names import SHIM_ADDRESS
from pytest_lambda_telemetry.protocol.profiles import Fidelity
from tests.support.helpers import Listener, free_port, register, running
from tests.support.programs import noted, program, subscriber

AT_ONCE = 60.0
"""A wait that must end by itself: were it to last, the test would be seen to hang."""

LISTED = {
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LANG",
    "TZ",
    "PATH",
    "LD_LIBRARY_PATH",
}


@pytest.fixture
def lambda_telemetry_settings() -> Settings:
    return Settings(strict=False, shutdown_timeout_s=0.5)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# -- a whole life ------------------------------------------------------------------------------------------------------


def test_a_child_gets_its_batch_at_a_fixed_virtual_moment(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(
        subscriber(tmp_path, on_batch="lambda batch: say([event['type'] for event in batch])", types=["function"])
    )
    lambda_telemetry.wait_until_ready("ext.py")
    lambda_telemetry.emit(events.function("hello"))
    assert lambda_telemetry.advance(ms=99) == ()
    [delivery] = lambda_telemetry.advance(ms=1)
    assert delivery.types == ("function",)
    assert "['function']" in child.output
    assert (child.name, child.running, child.returncode, child.registered) == ("ext.py", True, None, True)
    assert lambda_telemetry.assert_subscribed("ext.py", types=("function",)).destination.path == "/in"


def test_it_ends_at_shutdown_of_its_own_accord(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(
        subscriber(tmp_path, on_event="lambda event: say((event['eventType'], event.get('shutdownReason')))")
    )
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.invoke(logs=["work"])
    lambda_telemetry.shutdown("timeout")
    assert child.returncode == 0
    assert not child.killed
    assert child.output.splitlines()[-2:] == ["('INVOKE', None)", "('SHUTDOWN', 'timeout')"]
    lambda_telemetry.check()


def test_what_it_writes_on_its_way_out_reaches_those_who_still_listen(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.subscribe(listener.uri, types=["extension"])
    lambda_telemetry.run_extension(
        program(tmp_path, "me = register('ext.py')\nuntil_shutdown(me, lambda event: say(event['eventType']))")
    )
    lambda_telemetry.wait_until_ready("ext.py")
    lambda_telemetry.shutdown()
    assert [event["record"] for batch in listener.batches for event in batch] == ["SHUTDOWN"]


@pytest.mark.skipif(not (shutil.which("sh") and shutil.which("curl")), reason="needs sh and curl")
def test_a_shell_script_with_curl_is_an_extension(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    script = tmp_path / "telemetry.sh"
    script.write_text(
        """#!/bin/sh
base="http://$AWS_LAMBDA_RUNTIME_API"
id=$(curl -s -D - -o /dev/null -H 'Lambda-Extension-Name: telemetry.sh' -d '{"events":["SHUTDOWN"]}' \\
  "$base/2020-01-01/extension/register" | tr -d '\\r' | sed -n 's/^[Ll]ambda-[Ee]xtension-[Ii]dentifier: //p')
curl -s -X PUT -H "Lambda-Extension-Identifier: $id" -H 'Content-Type: application/json' -d '{
"schemaVersion": "2022-12-13", "types": ["extension"], "destination": {"protocol": "HTTP", "URI": "'"$1"'"}}' \\
  "$base/2022-07-01/telemetry"
echo
curl -s -H "Lambda-Extension-Identifier: $id" "$base/2020-01-01/extension/event/next" | grep -c SHUTDOWN
"""
    )
    script.chmod(0o755)
    child = lambda_telemetry.run_extension([script, listener.uri])
    lambda_telemetry.wait_until_ready("telemetry.sh")
    [delivery] = lambda_telemetry.flush()
    assert [event["record"] for event in delivery.events] == ['"OK"']
    lambda_telemetry.shutdown()
    assert child.returncode == 0
    assert child.output.splitlines() == ['"OK"', "1"]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_node_program_listens_on_sandbox_localdomain(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    script = tmp_path / "ext.js"
    script.write_text(
        """
const http = require("http");
const [host, apiPort] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const call = (method, path, headers, body) => new Promise((resolve) => {
  const request = http.request({ host, port: apiPort, method, path, headers }, (answer) => {
    let text = "";
    answer.on("data", (data) => (text += data));
    answer.on("end", () => resolve({ headers: answer.headers, text }));
  });
  request.end(body);
});
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (data) => (text += data));
  request.on("end", () => { console.log(JSON.parse(text).map((event) => event.record).join()); response.end(); });
});
server.listen(0, "sandbox.localdomain", async () => {
  const registered = await call("POST", "/2020-01-01/extension/register",
    { "Lambda-Extension-Name": "ext.js" }, JSON.stringify({ events: ["SHUTDOWN"] }));
  const id = { "Lambda-Extension-Identifier": registered.headers["lambda-extension-identifier"] };
  await call("PUT", "/2022-07-01/telemetry", id, JSON.stringify({
    schemaVersion: "2022-12-13", types: ["function"],
    destination: { protocol: "HTTP", URI: `http://sandbox.localdomain:${server.address().port}` } }));
  await call("GET", "/2020-01-01/extension/event/next", id);
  process.exit(7);
});
"""
    )
    child = lambda_telemetry.run_extension(["node", str(script)])
    lambda_telemetry.wait_until_ready("ext.js", timeout=20)
    lambda_telemetry.emit(events.function("from lambda"))
    [delivery] = lambda_telemetry.flush()
    assert delivery.ok
    lambda_telemetry.wait_until(lambda: "from lambda" in child.output)
    lambda_telemetry.shutdown()
    assert (child.running, child.returncode) == (False, 7)


# -- what it gets ------------------------------------------------------------------------------------------------------


def test_its_environment_is_that_of_an_extension_and_nothing_else(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the caller's")
    monkeypatch.setenv("HOME_GROWN", "the caller's")
    say_all = "say(json.dumps({**os.environ, 'cwd': os.getcwd()}))\nme = register('ext.py')\nuntil_shutdown(me)"
    child = lambda_telemetry.run_extension(program(tmp_path, say_all), env={"TABLE": "orders"}, cwd=tmp_path)
    lambda_telemetry.wait_until_ready()
    seen = json.loads(child.output)
    assert Path(seen.pop("cwd")).resolve() == tmp_path.resolve()
    added = {"PYTHONPATH", "NODE_OPTIONS", SHIM_ADDRESS} & seen.keys()  # where the machine allows no mount namespace
    interpreter = {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}  # Python's own, in a C locale
    assert seen.keys() - added - interpreter == LISTED | {"TABLE"}
    assert {name: seen[name] for name in LISTED} == lambda_telemetry.env
    assert "the caller's" not in seen.values()
    assert (seen["TZ"], seen["TABLE"]) == (":UTC", "orders")
    assert seen["AWS_LAMBDA_RUNTIME_API"] == lambda_telemetry.runtime_api


@pytest.mark.parametrize("name", ["_HANDLER", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_EXECUTION_ENV"])
def test_what_lambda_never_gives_an_extension_cannot_be_passed(lambda_telemetry: LambdaTelemetry, name: str) -> None:
    with pytest.raises(MisuseError, match=f"env has {name}: Lambda gives that to the runtime"):
        lambda_telemetry.run_extension([sys.executable, "ext.py"], env={name: "x"})


def test_how_the_names_are_resolved_is_in_the_journal(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, ""))
    [line] = [line for line in noted(lambda_telemetry, "lifecycle") if "started" in line]
    assert line.startswith(
        f"ext.py: started as process {child.pid} child processes resolve sandbox.localdomain through"
    )


# -- its name ----------------------------------------------------------------------------------------------------------


def test_its_name_is_the_file_name_unless_it_is_given(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    command = program(tmp_path, "")
    assert lambda_telemetry.run_extension(command).name == "ext.py"
    assert lambda_telemetry.run_extension(command, name="collector").name == "collector"
    with pytest.raises(MisuseError, match="say name="):
        lambda_telemetry.run_extension([sys.executable, "-c", "pass"])
    with pytest.raises(MisuseError, match="is a non-empty str"):
        lambda_telemetry.run_extension(command, name=" ")
    assert lambda_telemetry.run_extension([sys.executable, "-c", "pass"], name="inline").name == "inline"


def test_another_name_is_pointed_out_where_it_is_not_certain_whose_it_is(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    body = """
near, far = os.pipe()
if not os.fork():
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == middle:
        pass
    me = register('my-extension')  # from a process that nobody can tell whose it is
    until_shutdown(me, lambda event: say(event['eventType']))
    os._exit(0)
os.wait()
os.close(far)
os.read(near, 1)
"""
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready("my-extension")
    [note] = [line for line in noted(lambda_telemetry, "note") if "under this name" in line]
    assert "if it is 'ext.py', Lambda would know it by that file name and refuse it" in note
    assert "run_extension(..., name='my-extension')" in note
    lambda_telemetry.shutdown()
    assert (child.returncode, child.output) == (0, "SHUTDOWN\n")


@pytest.mark.parametrize("argv", ["ext.py", []])
def test_a_command_is_a_list(lambda_telemetry: LambdaTelemetry, argv: Any) -> None:
    with pytest.raises(MisuseError, match="expected a list of arguments"):
        lambda_telemetry.run_extension(argv)


# -- what it writes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fidelity", "newline"), [("documented", ""), ("observed", "\n")])
def test_its_lines_become_events_with_the_newline_of_the_profile(
    tmp_path: Path, fidelity: Fidelity, newline: str
) -> None:
    with LambdaTelemetry(Settings(strict=False, fidelity=fidelity)) as environment, Listener() as listener:
        environment.subscribe(listener.uri, ["extension"])
        body = r"""
os.write(1, b"out\n"); os.write(2, b"err\n"); os.write(1, b"\nbad \xff byte\n\ttab\r\n"); os.write(1, b"no end")
"""
        environment.run_extension(program(tmp_path, body)).wait()
        [delivery] = environment.flush()
        expected = ["out", "err", "", "bad \ufffd byte", "\ttab", "no end"]
        assert [event["record"] for event in delivery.events] == [line + newline for line in expected]
        assert {event["type"] for event in delivery.events} == {"extension"}


def test_a_line_of_more_than_a_mebibyte_is_cut_with_a_note(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    body = r"sys.stdout.buffer.write(b'x' * (1024 * 1024 + 5) + b'\nnext\n')"
    lambda_telemetry.run_extension(program(tmp_path, body)).wait()
    lambda_telemetry.flush()
    records = [event["record"] for batch in listener.batches for event in batch]
    assert [len(record) for record in records] == [1024 * 1024, 4]
    assert noted(lambda_telemetry, "note") == ["ext.py: a line of output is longer than 1,048,576 bytes: cut there"]


def test_lines_from_before_the_subscription_are_delivered_too(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.run_extension(program(tmp_path, "say('early')")).wait()
    assert lambda_telemetry.advance(ms=1) == ()
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    [delivery] = lambda_telemetry.flush()
    assert [event["record"] for event in delivery.events] == ["early"]


def test_thousands_of_lines_all_arrive_in_order(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    lambda_telemetry.run_extension(program(tmp_path, "sys.stdout.writelines(f'{n}\\n' for n in range(9500))")).wait()
    lambda_telemetry.advance(seconds=1)
    records = [event["record"] for batch in listener.batches for event in batch]
    assert records == [str(number) for number in range(9500)]
    assert [len(batch) for batch in listener.batches] == [1000] * 9 + [500]
    assert noted(lambda_telemetry, "drop") == []


def test_a_flood_is_bounded_and_what_is_dropped_is_counted(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    body = "sys.stdout.writelines(f'{n:06}\\n' for n in range(60000))"
    lambda_telemetry.run_extension(program(tmp_path, body)).wait()
    lambda_telemetry.advance(seconds=5)
    records = [event["record"] for batch in listener.batches for event in batch]
    assert records == [f"{number:06}" for number in range(10_000)]
    assert noted(lambda_telemetry, "drop") == ["ext.py: 50000 lines (300000 bytes) of output inbox full"]


def test_one_that_never_stops_writing_lets_every_call_return(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
me = register('ext.py')
subscribe(me, serve(), ['extension'])
def pour():
    while True:
        sys.stdout.write('again and again\\n' * 50)
threading.Thread(target=pour, daemon=True).start()
until_shutdown(me)
os._exit(0)
"""
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.wait_until(lambda: child.output)
    lambda_telemetry.advance(ms=100)
    lambda_telemetry.invoke(logs=["work"])
    assert lambda_telemetry.deliveries
    lambda_telemetry.check()  # and nobody takes it for a feedback loop


def test_one_that_never_stops_writing_lets_an_hour_pass(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    body = "while True:\n    sys.stdout.write('again and again\\n' * 50)"
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until(lambda: child.output)
    lambda_telemetry.advance(seconds=3600)
    assert sum(map(len, listener.batches)) < 100_000


def test_each_call_takes_in_an_inbox_however_many_come_at_one_moment(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    body = f"""
for part in range(4):
    sys.stdout.write("line\\n" * 9_999)
    say(f"end of {{part}}")
    while not os.path.exists({str(tmp_path)!r} + f"/{{part}}"):
        pass
"""
    lambda_telemetry.subscribe(listener.uri, ["extension"])
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    for part in range(4):

        def told(end: str = f"end of {part}") -> bool:
            return end in child.output

        lambda_telemetry.wait_until(told)
        lambda_telemetry.flush()
        lambda_telemetry.flush()
        (tmp_path / str(part)).touch()
    assert sum(map(len, listener.batches)) == 40_000


def test_one_that_is_still_starting_when_the_test_ends_has_done_nothing_wrong(tmp_path: Path) -> None:
    body = """
me = register("ext.py")
event = next_event(me)
answer, _ = subscribe(me, 4243)
say(f"{event['eventType']} {answer.status}")
"""
    with LambdaTelemetry(Settings(shutdown_timeout_s=2.0)) as environment:
        child = environment.run_extension(program(tmp_path, body))
        environment.wait_until_ready()
    assert child.output == "SHUTDOWN 403\n"


def test_with_the_system_clock_its_lines_are_delivered_without_any_call(tmp_path: Path, listener: Listener) -> None:
    with LambdaTelemetry(Settings(strict=False, clock="system")) as environment:
        environment.subscribe(listener.uri, ["extension"], buffering={"timeoutMs": 25})
        environment.run_extension(program(tmp_path, "say('hello')\nfor_ever()"))
        environment.wait_until(lambda: listener.bodies, timeout=AT_ONCE)
        assert [event["record"] for event in listener.batches[0]] == ["hello"]


# -- one that dies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["wait_for_extension", "wait_for_subscription", "wait_until_ready"])
@pytest.mark.parametrize("named", [True, False])
def test_the_wait_for_a_child_that_dies_early_ends_at_once(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, wait: str, named: bool
) -> None:
    lambda_telemetry.run_extension(program(tmp_path, "say('cannot go on')\nsys.exit(3)"))
    with pytest.raises(WaitTimeout) as caught:
        getattr(lambda_telemetry, wait)(*["ext.py"][:named], timeout=AT_ONCE)
    message = str(caught.value)
    assert message.startswith("gave up waiting for ")
    assert "the process of extension 'ext.py' ended by itself with exit code 3; its last output:" in message
    assert message.endswith("    cannot go on")
    lambda_telemetry.check()  # one that never registered is no crash of an extension


def test_a_predicate_stops_waiting_for_a_dead_child_once(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"))
    with pytest.raises(WaitTimeout, match=r"exit code -9; its last output:\n    \(no output\)"):
        lambda_telemetry.wait_until(lambda: "ready" in child.output, timeout=AT_ONCE)
    with running(lambda: register("other")):
        assert lambda_telemetry.wait_for_extension(timeout=AT_ONCE).name == "other"


def test_the_end_of_one_child_does_not_end_the_wait_for_another(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    lambda_telemetry.run_extension(program(tmp_path, "", "dead.py")).wait()
    lambda_telemetry.run_extension(subscriber(tmp_path))
    assert lambda_telemetry.wait_until_ready("ext.py", timeout=AT_ONCE).name == "ext.py"


CRASH = "me = register('ext.py')\nsay('oh no')\nsys.exit(4)"
CRASHED = (
    r"Extension.Crash: the process of extension 'ext.py' ended by itself with exit code 4; its last output:\n    oh no"
)


def test_a_crash_after_registration_is_a_violation(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    lambda_telemetry.run_extension(program(tmp_path, CRASH)).wait()
    with pytest.raises(ProtocolViolation, match=CRASHED):
        lambda_telemetry.check()
    lambda_telemetry.check()
    assert lambda_telemetry.extensions[0].state == "Exited"


def test_a_crash_nobody_has_told_of_is_raised_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(ProtocolViolation, match=CRASHED), LambdaTelemetry() as environment:
        environment.run_extension(program(tmp_path, CRASH)).wait()


@pytest.mark.parametrize("strict", [True, False])
def test_a_crash_that_a_wait_has_told_of_is_not_raised_again(tmp_path: Path, strict: bool) -> None:
    with LambdaTelemetry(Settings(strict=strict)) as environment:
        environment.run_extension(program(tmp_path, CRASH))
        with pytest.raises(WaitTimeout, match="exit code 4; its last output:\n    oh no"):
            environment.wait_for_subscription("ext.py", timeout=AT_ONCE)


def test_one_that_reports_its_own_end_has_not_crashed(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
me = register('ext.py')
connection = HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
connection.request('POST', '/2020-01-01/extension/init/error', None, {
    'Lambda-Extension-Identifier': me, 'Lambda-Extension-Function-Error-Type': 'Extension.NoConfig'})
connection.getresponse().read()
sys.exit(1)
"""
    assert lambda_telemetry.run_extension(program(tmp_path, body)).wait() == 1
    lambda_telemetry.check()
    assert lambda_telemetry.extensions[0].errors == ("Extension.NoConfig",)


def test_an_invocation_does_not_wait_for_the_dead(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    on_event = "lambda event: event['eventType'] == 'INVOKE' and os._exit(5)"
    lambda_telemetry.run_extension(subscriber(tmp_path, on_event=on_event))
    lambda_telemetry.wait_until_ready()
    with lambda_telemetry.invocation():
        pass
    with pytest.raises(ProtocolViolation, match="exit code 5"):
        lambda_telemetry.check()


def test_an_expected_rejection_is_not_awaited_from_the_dead(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    with pytest.raises(ProtocolViolation, match="there was none"), lambda_telemetry.expect_rejection(timeout=AT_ONCE):
        lambda_telemetry.run_extension(program(tmp_path, "say('never')"))


def test_a_port_that_is_taken_is_recognised_and_the_remedy_told(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path, listener: Listener
) -> None:
    body = f"HTTPServer(('127.0.0.1', {listener.port}), BaseHTTPRequestHandler)"
    lambda_telemetry.run_extension(program(tmp_path, body))
    with pytest.raises(WaitTimeout) as caught:
        lambda_telemetry.wait_until_ready("ext.py", timeout=AT_ONCE)
    remedy = str(caught.value).splitlines()[-1]
    assert "that the extension listens on is taken" in remedy
    assert "let it bind sandbox.localdomain, as on Lambda" in remedy


# -- its end -----------------------------------------------------------------------------------------------------------

STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, '-c', 'import signal\\nwhile True: signal.pause()'])
loner = subprocess.Popen([sys.executable, '-c', 'import signal\\nwhile True: signal.pause()'], start_new_session=True)
say(f'{helper.pid} {loner.pid}')
me = register('ext.py')
until_shutdown(me, lambda event: say(event['eventType']))
for_ever()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_one_that_ignores_everything_is_killed_with_all_it_has_started(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, STUBBORN))
    lambda_telemetry.wait_until_ready()
    started = [int(pid) for pid in child.output.split()]
    assert all(map(alive, started))
    lambda_telemetry.shutdown()
    assert child.killed
    assert child.returncode == -signal.SIGKILL
    assert child.output.splitlines()[-1] == "SHUTDOWN"
    assert not any(map(alive, [*started, child.pid]))
    assert noted(lambda_telemetry, "lifecycle")[-1] == "ext.py: did not end after SHUTDOWN SIGKILL"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_of_a_child_outlives_its_environment(tmp_path: Path) -> None:
    with LambdaTelemetry(Settings(strict=False, shutdown_timeout_s=0.05)) as environment:
        silent = environment.run_extension(program(tmp_path, "say('up')\nfor_ever()", "silent.py"))
        stubborn = environment.run_extension(program(tmp_path, STUBBORN))
        environment.wait_until_ready("ext.py")
        environment.wait_until(lambda: silent.output)
        started = [int(pid) for pid in stubborn.output.split()]
        environment.freeze()
    assert (silent.returncode, stubborn.returncode) == (-signal.SIGKILL, -signal.SIGKILL)
    assert not any(map(alive, [silent.pid, stubborn.pid, *started]))
    assert stubborn.output.endswith("SHUTDOWN\n")


def test_one_without_shutdown_among_its_events_gets_neither_event_nor_time(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    child = lambda_telemetry.run_extension(program(tmp_path, "me = register('ext.py', ['INVOKE'])\nuntil_shutdown(me)"))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.shutdown()
    assert child.killed
    assert noted(lambda_telemetry, "lifecycle")[-1] == "ext.py: gets no SHUTDOWN, and no time to end SIGKILL"


def test_its_recorded_values_stay_readable(tmp_path: Path) -> None:
    with LambdaTelemetry(Settings(strict=False)) as environment:
        child = environment.run_extension(program(tmp_path, "say('hello')"))
        assert child.wait() == 0
    assert (child.name, child.returncode, child.output) == ("ext.py", 0, "hello\n")
    with pytest.raises(MisuseError, match="closed"):
        environment.run_extension(program(tmp_path, ""))


# -- frozen ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_freeze_stops_the_group_and_thaw_continues_it(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = """
helper = subprocess.Popen([sys.executable, '-c', 'import signal\\nwhile True: signal.pause()'])
say(helper.pid)
me = register('ext.py')
subscribe(me, serve(lambda batch: say('batch')), ['function'])
until_shutdown(me)
helper.kill()
"""
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    lambda_telemetry.wait_until_ready()
    helper = int(child.output)
    lambda_telemetry.freeze()
    assert state_of(child.pid) == "T"
    lambda_telemetry.wait_until(lambda: state_of(helper) == "T")
    lambda_telemetry.emit(events.function("while it stands"))
    assert lambda_telemetry.advance(seconds=60) == ()
    assert lambda_telemetry.flush() == ()
    with pytest.raises(MisuseError, match=r"the process of extension 'ext.py': .* call thaw\(\) first"):
        lambda_telemetry.push([events.function("x")])
    assert lambda_telemetry.deliveries == ()
    lambda_telemetry.freeze()
    lambda_telemetry.thaw()
    lambda_telemetry.wait_until(lambda: state_of(child.pid) != "T" and state_of(helper) != "T")
    [delivery] = lambda_telemetry.advance(ms=100)
    assert delivery.ok
    assert "batch" in child.output


def test_between_invocations_it_stands_still(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(subscriber(tmp_path))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.invoke()
    if sys.platform.startswith("linux"):
        assert state_of(child.pid) == "T"
    first = len(lambda_telemetry.deliveries)
    lambda_telemetry.invoke()
    types = [name for delivery in lambda_telemetry.deliveries[first:] for name in delivery.types]
    assert types[:2] == ["platform.report", "platform.start"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_managed_instances_are_never_frozen(tmp_path: Path) -> None:
    with LambdaTelemetry(Settings(strict=False, initialization_type="lambda-managed-instances")) as environment:
        child = environment.run_extension(program(tmp_path, "say('up')\nfor_ever()"))
        environment.wait_until(lambda: child.output)
        environment.freeze()
        assert state_of(child.pid) != "T"


def test_a_frozen_environment_ends_its_children_too(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    child = lambda_telemetry.run_extension(subscriber(tmp_path, on_event="lambda event: say(event['eventType'])"))
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.freeze()
    lambda_telemetry.shutdown()
    assert (child.returncode, child.killed) == (0, False)
    assert child.output == "SHUTDOWN\n"


def test_deadlines_for_a_child_are_in_real_time(tmp_path: Path) -> None:
    body = """
import time
me = register('ext.py')
until_shutdown(me, lambda event: say(event['deadlineMs'] - time.time() * 1000))
"""
    with LambdaTelemetry(Settings(start="1999-01-01T00:00:00Z", timeout_s=900)) as environment:
        child = environment.run_extension(program(tmp_path, body))
        environment.wait_until_ready()
        environment.invoke()
        remaining_ms = float(child.output.split()[0])
    assert 0 < remaining_ms <= 900_000


def test_its_address_family_is_the_loopback(lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    body = "say([socket.gethostbyname(name) for name in ('sandbox.localdomain', 'sandbox')])"
    child = lambda_telemetry.run_extension(program(tmp_path, body))
    assert child.wait() == 0
    own = socket.gethostbyname("sandbox.localdomain")
    assert own.startswith("127.")
    assert child.output == f"{[own] * 2}\n"
    assert os.environ["AWS_LAMBDA_RUNTIME_API"] == lambda_telemetry.runtime_api


def test_extensions_on_one_fixed_port_meet_neither_their_twin_nor_their_predecessor(tmp_path: Path) -> None:
    port = free_port()
    body = f"""
me = register("ext.py")
subscribe(me, serve(lambda batch: say([event["record"] for event in batch]), port={port}), ["function"])
until_shutdown(me)
"""
    with LambdaTelemetry() as one, LambdaTelemetry() as other:
        children = [each.run_extension(program(tmp_path, body)) for each in (one, other)]
        for each in (one, other):
            each.wait_until_ready()
        one.emit(events.function("for one"))
        other.emit(events.function("for the other"))
        one.advance(seconds=1)
        other.advance(seconds=1)
        assert [child.output for child in children] == ["['for one']\n", "['for the other']\n"]
        other.shutdown()
        one.shutdown()
