"""How the server begins and ends: what it says, what it leaves behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_lambda_telemetry.serve.command import main
from pytest_lambda_telemetry.serve.lifetime import Keeper
from pytest_lambda_telemetry.serve.round import Over
from tests.support.helpers import call
from tests.support.programs import program
from tests.support.server import COMMAND, TIMEOUT, Running, serving


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=TIMEOUT)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def nobody_listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) != 0


def with_a_child(server: Running, folder: Path) -> int:
    """The process id of an extension that waits for its next event."""
    with server.client() as client:
        argv = program(folder, "until_shutdown(register('ext.py'))", name="ext.py")
        pid: int = client.do("run_extension", argv=argv)["pid"]
        client.do("wait_until_ready", timeout=TIMEOUT)
    return pid


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(how: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with serving("--ready-file", str(ready)) as server:
        pid = with_a_child(server, tmp_path)
        assert json.loads(ready.read_text()) == server.told
        assert server.end(how) == (0, "", "")
    assert is_gone(pid)
    assert list(tmp_path.glob("*.json*")) == list(tmp_path.glob(".ready*")) == []
    assert nobody_listens(server.told["runtime_api"])
    assert nobody_listens(server.control)


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with serving("--parent", str(parent.pid), "--ready-file", str(tmp_path / "ready")) as server:
        pid = with_a_child(server, tmp_path)
        assert server.process.poll() is None
        parent.communicate(b"\n")
        assert server.process.communicate(timeout=TIMEOUT) == ("", "")
        assert server.process.returncode == 0
    assert is_gone(pid)
    assert not (tmp_path / "ready").exists()


def test_the_end_of_a_parent_is_seen_where_the_system_does_not_tell_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    waiter = threading.Thread(target=parent.wait)
    with Keeper(parent.pid) as keeper:
        assert parent.stdin
        parent.stdin.close()
        waiter.start()
        keeper.keep(Over())
        with pytest.raises(Over):
            keeper.do(lambda: None)
    waiter.join()
    assert parent.returncode is not None


def test_a_signal_ends_calls_that_wait() -> None:
    with serving() as server, server.client() as client:
        client.read("now")
        host, port = server.control.split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
            body = b'{"timeout": 1000000}'
            sock.sendall(
                b"POST /v1/wait_for_extension HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            assert server.end() == (0, "", "")
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer == b"" or b'"unavailable"' in answer


def test_what_nobody_asked_for_is_told_at_the_end() -> None:
    with serving() as server:
        with server.client() as client:
            client.do("fail_next_delivery", fault=503)
        assert call("GET", "/nowhere", api=server.told["runtime_api"]).status == 404
        code, _, errors = server.end()
    assert code == 0
    assert "lambda-telemetry: fail_next_delivery(503) was never used" in errors
    assert "/nowhere" in errors


def test_the_ready_file_is_its_owners_and_complete(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text("an old one")
    ready.chmod(0o666)
    with serving("--ready-file", str(ready), "--token", "auto") as server:
        told = json.loads(ready.read_text())
        assert stat.S_IMODE(ready.stat().st_mode) == 0o600
        assert len(told.pop("token")) > 30
        assert told == server.told  # the line on stdout may be in a log
        assert told.keys() == {"runtime_api", "control", "env", "hosts", "pid"}
        assert told["env"]["AWS_LAMBDA_RUNTIME_API"] == told["runtime_api"]
        assert told["hosts"] == "127.0.0.1 sandbox.localdomain sandbox"
        assert told["pid"] == server.process.pid
        ready.unlink()
        ready.write_text("another server's")
        assert server.end() == (0, "", "")
    assert ready.read_text() == "another server's"


def test_ports_can_be_chosen_and_a_taken_one_is_named() -> None:
    with serving() as server:
        port = server.control.partition(":")[2]
        for option in ("--port", "--control-port"):
            done = run(option, port)
            assert (done.returncode, done.stdout) == (1, "")
            assert re.fullmatch(rf"lambda-telemetry: the .* cannot listen on 127.0.0.1:{port}: .*\n", done.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--setting", "memory=1"],
            "there is no setting 'memory'; did you mean 'memory_mb'? valid settings: function_",
        ),
        (
            ["--setting", "memory_mb"],
            "--setting memory_mb has no value; write NAME=VALUE, such as --setting memory_mb=",
        ),
        (["--setting", "memory_mb=x"], "memory_mb='x' is not valid: it must be a whole number of MB above 0"),
        (
            ["--setting", 'retry={"first": 1}'],
            "retry has no option 'first'; it has initial_ms, factor, max_ms, attempts",
        ),
        (["--setting", "clock=freezegun"], "clock='freezegun' is not valid: it would freeze the server's own process"),
        (["--parent", "999999999"], "--parent 999999999: there is no such process; give the number of one that runs"),
        (["--parent", "-1"], "--parent -1: there is no such process; give the number of one that runs"),
        (["--token", ""], "--token must be printable ASCII without blanks around it; --token auto makes one"),
        (["--token", " a "], "--token must be printable ASCII without blanks around it; --token auto makes one"),
    ],
)
def test_a_wrong_option_is_told_with_the_valid_ones(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *options])
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert errors.startswith(f"lambda-telemetry: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("options", ["--port 70000", "--control-port x", "--parent x", "--sandbox-host x"])
def test_argparse_refuses_the_rest(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *options.split()])
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert errors.startswith("usage: lambda-telemetry serve")


def test_a_ready_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = run("--ready-file", str(tmp_path / "no" / "ready.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lambda-telemetry: [Errno 2] No such file or directory")


def test_settings_of_the_command_line_are_those_of_every_environment() -> None:
    options = ["function_name=123", "memory_mb=512", "strict=False", "retry=null", 'internal_extensions=["a"]']
    with serving(*(word for one in options for word in ("--setting", one))) as server, server.client() as client:
        assert server.told["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "123"
        assert client.do("reset", memory_mb=256)["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
        assert client.read("env")["AWS_LAMBDA_FUNCTION_NAME"] == "123"
        assert client.do("reset")["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"


def test_help_shows_a_whole_session() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "a whole session, with curl" in done.stdout
    assert "exit codes: 0" in done.stdout


def test_it_imports_no_pytest() -> None:
    code = (
        "import sys, pytest_lambda_telemetry.serve.command; print([n for n in sys.modules if 'pytest' in n.split('.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
