"""How children resolve sandbox.localdomain; each way is tried with real children where the machine allows it."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lambda_telemetry.host import child_names, launch
from pytest_lambda_telemetry.host.addresses import own_address
from pytest_lambda_telemetry.host.child_names import (
    HINT,
    HOSTS_LINE,
    NO_NAMESPACES,
    SHIM_ADDRESS,
    Resolution,
    choose,
    hosts_file_resolves,
    hosts_line,
    works,
)
from pytest_lambda_telemetry.host.process import ExtensionProcess
from pytest_lambda_telemetry.model.errors import MisuseError

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
SHIMS = Resolution("", shims=True)

LOOK_UPS = """
import socket
with socket.socket() as server, socket.socket() as client:
    server.bind(("sandbox.localdomain", 0))
    server.listen()
    client.connect((b"SANDBOX", server.getsockname()[1]))
    print(client.getpeername()[0], socket.gethostbyname("sandbox"), socket.gethostbyname_ex("sandbox")[2],
          socket.gethostbyaddr("sandbox")[2], socket.getaddrinfo(host="sandbox.localdomain", port=1)[0][4])
"""
ANSWERS = "127.0.0.1 127.0.0.1 ['127.0.0.1'] ['127.0.0.1'] ('127.0.0.1', 1)\n"
OWN = own_address(7)
OWN_ANSWERS = ANSWERS.replace("127.0.0.1", OWN)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    child_names._choose.cache_clear()
    yield
    child_names._choose.cache_clear()


@functools.cache
def allowed(namespace: str) -> bool:
    return works(Resolution("", namespace=namespace))


@pytest.fixture(params=["mount", "user"])
def way(request: pytest.FixtureRequest) -> Resolution:
    """Each kind of namespace that this machine allows."""
    if not allowed(request.param):
        pytest.skip(f"this machine allows no {request.param} namespace")
    return Resolution("", namespace=request.param)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A hosts file that does not have the names."""
    monkeypatch.setattr(child_names, "_HOSTS", tmp_path / "hosts")
    monkeypatch.delenv(NO_NAMESPACES, raising=False)
    return monkeypatch


def run(argv: list[str], way: Resolution, cwd: Path | None = None, address: str = "127.0.0.1", **env: str) -> str:
    variables = {"PATH": os.environ["PATH"], **env}
    child = ExtensionProcess(argv, name="child", env=variables, cwd=cwd, resolution=way, address=address)
    assert child.address == address
    try:
        child.wait(30)
    finally:
        child.terminate(0)
    return child.output


@pytest.mark.parametrize(
    ("text", "resolves"),
    [
        ("127.0.0.1 sandbox.localdomain sandbox\n", True),
        ("127.0.0.1 localhost\n127.0.0.1\tSandbox\n127.0.0.1 SANDBOX.localdomain # ours\n", True),
        ("127.0.0.1 sandbox.localdomain\n", False),
        ("# 127.0.0.1 sandbox.localdomain sandbox\n", False),
        ("127.0.0.1 localhost # sandbox.localdomain sandbox\n", False),
        ("10.0.0.7 sandbox\n127.0.0.1 sandbox.localdomain sandbox\n", False),
        ("\n\n", False),
    ],
)
def test_a_hosts_file_is_read_and_nobody_is_asked(tmp_path: Path, text: str, resolves: bool) -> None:
    (tmp_path / "hosts").write_text(text)
    assert hosts_file_resolves(tmp_path / "hosts") is resolves


def test_a_missing_hosts_file_resolves_nothing(tmp_path: Path) -> None:
    assert not hosts_file_resolves(tmp_path / "hosts")


def test_without_namespaces_a_hosts_file_with_the_names_comes_first(bare: pytest.MonkeyPatch) -> None:
    child_names._HOSTS.write_text(HOSTS_LINE)
    bare.setenv(NO_NAMESPACES, "1")
    way = choose()
    assert (way.namespace, way.shims, way.hint) == (None, False, None)
    assert (
        way.description == "child processes resolve sandbox.localdomain through the system's hosts file, to 127.0.0.1"
    )
    assert way.address(OWN) == "127.0.0.1"


def test_a_namespace_comes_before_a_hosts_file_with_the_names(bare: pytest.MonkeyPatch, way: Resolution) -> None:
    """In the hosts file everybody has the same address."""
    child_names._HOSTS.write_text(HOSTS_LINE)
    chosen = choose()
    assert chosen.namespace is not None
    assert chosen.address(OWN) == OWN


@pytest.mark.usefixtures("bare")
def test_what_is_chosen_works_and_is_chosen_once() -> None:
    way = choose()
    assert way is choose()
    assert (way.hint is not None) == way.shims
    assert run([sys.executable, "-c", LOOK_UPS], way) == ANSWERS


def test_namespaces_can_be_forbidden(bare: pytest.MonkeyPatch) -> None:
    bare.setenv(NO_NAMESPACES, "1")
    way = choose()
    assert (way.namespace, way.shims) == (None, True)
    assert way.description == (
        "child processes resolve sandbox.localdomain through PYTHONPATH and NODE_OPTIONS: in Python and Node.js only"
    )
    assert (
        way.hint
        == HINT
        == (
            "on this machine only Python and Node.js children resolve sandbox.localdomain and sandbox: it allows no"
            " private mount namespace. For any other extension add this line to /etc/hosts:"
            " 127.0.0.1 sandbox.localdomain sandbox (with it the names are 127.0.0.1 in every test)"
        )
    )


def test_where_there_are_no_namespaces_shims_are_chosen(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(sys, "platform", "darwin")
    assert choose().shims


def test_a_way_that_cannot_start_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_names, "_LAUNCHER", Path("/nowhere/launch.py"))
    assert not works(Resolution("", namespace="mount"))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert not works(Resolution("", namespace="user"))


def test_any_program_resolves_in_a_namespace(way: Resolution) -> None:
    assert run(["getent", "hosts", "sandbox.localdomain"], way).split() == [
        "127.0.0.1",
        "sandbox.localdomain",
        "sandbox",
    ]
    assert run([sys.executable, "-I", "-S", "-c", LOOK_UPS], way) == ANSWERS


def test_an_address_of_its_own_is_given_per_start(way: Resolution) -> None:
    assert run(["getent", "hosts", "sandbox"], way, address=OWN).split() == [OWN, "sandbox.localdomain", "sandbox"]
    assert run([sys.executable, "-I", "-S", "-c", LOOK_UPS], way, address=OWN) == OWN_ANSWERS
    assert run(["cat", "/etc/hosts"], way, address=OWN).startswith(f"{hosts_line(OWN)}\n")
    assert run([sys.executable, "-I", "-S", "-c", LOOK_UPS], way) == ANSWERS


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n"),
        ("", ""),
        ("# sandbox\n\n::1 ip6 # sandbox\n", "# sandbox\n\n::1 ip6 # sandbox\n"),
        ("127.0.0.1 sandbox.localdomain sandbox\n::1 ip6", "::1 ip6"),
        ("127.0.0.1 localhost Sandbox vm # mine\n", "127.0.0.1 localhost vm\n"),
        ("10.0.0.7\tsandbox.example\n", "10.0.0.7\tsandbox.example\n"),
    ],
)
def test_no_other_line_of_the_hosts_file_has_the_names(text: str, kept: str) -> None:
    line = hosts_line(OWN).encode()
    assert launch.hosts_with(line, text.encode()) == line + b"\n" + kept.encode()


def test_a_namespace_changes_nothing_else(way: Resolution, tmp_path: Path) -> None:
    """The child is the process that was started, and has what it has without one; not one variable or file more."""
    script = (
        "import json, os, signal; print(json.dumps([os.getpid() == os.getpgrp() == os.getsid(0), os.getuid(), "
        "os.getgid(), os.getcwd(), open('/proc/self/environ').read(), open('/proc/self/cmdline').read(), "
        "sorted(os.listdir('/proc/self/fd')), [line for line in open('/proc/self/status') if line.startswith('Sig')]]))"
    )
    argv = [sys.executable, "-I", "-c", script]
    env = {"a.b": "1", "LC_ALL": "C", "EMPTY": "", "MULTI": "x\ny=z"}
    found, expected = (json.loads(run(argv, each, tmp_path, **env)) for each in (way, Resolution("")))
    for each in (found, expected):  # of signals: pending ones depend on the moment
        each[-1] = [line for line in each[-1] if line.startswith(("SigBlk", "SigIgn"))]
    assert found == expected
    assert found[:4] == [True, os.getuid(), os.getgid(), str(tmp_path)]


def test_a_namespace_leaves_no_file_and_no_mount_behind(
    way: Resolution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    hosts, mounts = Path("/etc/hosts").read_bytes(), Path("/proc/self/mounts").read_bytes()
    assert run(["cat", "/etc/hosts"], way).encode() == HOSTS_LINE.encode() + b"\n" + hosts
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/hosts").read_bytes() == hosts
    assert Path("/proc/self/mounts").read_bytes() == mounts


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -TERM $$", -15), ("kill -KILL $$", -9)])
def test_exit_codes_and_signals_come_through(way: Resolution, command: str, code: int) -> None:
    child = ExtensionProcess(["sh", "-c", command], name="child", env={}, resolution=way)
    assert child.wait(30) == code
    child.terminate(0)


def test_a_script_without_an_interpreter_is_refused_as_without_a_namespace(way: Resolution, tmp_path: Path) -> None:
    script = tmp_path / "extension"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    messages = set()
    for each in (way, Resolution("")):
        with pytest.raises(
            MisuseError, match=r"the system cannot run \S*/extension: No such file .*\. A script"
        ) as caught:
            ExtensionProcess([script], name="child", env={}, resolution=each)
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("how", ["mount", "user", "shims"])
def test_twins_listen_on_the_same_fixed_port(how: str) -> None:
    if how != "shims" and not allowed(how):
        pytest.skip(f"this machine allows no {how} namespace")
    if OWN == "127.0.0.1":
        pytest.skip("this machine has one loopback address")
    script = """
import socket, sys
server = socket.create_server(("sandbox.localdomain", int(sys.argv[1])))
print(server.getsockname()[1], flush=True)
server.accept()
"""
    resolution = SHIMS if how == "shims" else Resolution("", namespace=how)
    changed = threading.Event()
    port, twins = "0", []
    try:
        for number in (1, 2):
            argv, address = [sys.executable, "-c", script, port], own_address(number)
            twin = ExtensionProcess(
                argv, name="twin", env={}, resolution=resolution, address=address, on_lines=changed.set
            )
            twins.append(twin)
            while not twin.output.endswith("\n"):
                assert changed.wait(30), twin.output
                changed.clear()
            port = twin.output.strip()
        assert twins[0].address != twins[1].address
        assert twins[0].output == twins[1].output
        for twin in twins:
            socket.create_connection((twin.address, int(port))).close()
            assert twin.wait(30) == 0
    finally:
        for twin in twins:
            twin.terminate(0)


def test_without_shims_the_environment_is_as_given() -> None:
    assert Resolution("").environment({"A": "1"}) == {"A": "1"}


def test_shims_stand_before_what_the_user_has() -> None:
    env = SHIMS.environment({"PYTHONPATH": "/a:/b", "NODE_OPTIONS": "--no-warnings"}, OWN)
    assert env[SHIM_ADDRESS] == OWN
    assert env["PYTHONPATH"].endswith("/shims/python:/a:/b")
    assert env["NODE_OPTIONS"].startswith('--require "/')
    assert env["NODE_OPTIONS"].endswith('.cjs" --no-warnings')


def test_a_python_child_resolves_by_shim() -> None:
    assert run([sys.executable, "-c", LOOK_UPS], SHIMS) == ANSWERS


def test_a_python_child_has_an_address_of_its_own_by_shim() -> None:
    assert run([sys.executable, "-c", LOOK_UPS], SHIMS, address=OWN) == OWN_ANSWERS


def test_a_python_child_knows_the_name_of_its_own_address_by_shim() -> None:
    """`http.server` asks for it: a name server would be asked, and might never answer."""
    if OWN == "127.0.0.1":
        pytest.skip("the system's own hosts file knows the only address there is")
    script = f"import socket; print(socket.gethostbyaddr({OWN!r}), socket.gethostbyaddr('127.0.0.1')[2])"
    entry = ("sandbox.localdomain", ["sandbox"], [OWN])
    assert run([sys.executable, "-c", script], SHIMS, address=OWN) == f"{entry} ['127.0.0.1']\n"


def test_a_python_child_serves_and_connects_with_asyncio_by_shim() -> None:
    script = """
import asyncio
async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "sandbox.localdomain", 0)
    reader, writer = await asyncio.open_connection("sandbox", server.sockets[0].getsockname()[1])
    print(await reader.read())
    writer.close()
    server.close()
asyncio.run(main())
"""
    assert run([sys.executable, "-c", script], SHIMS) == "b''\n"


def test_the_sitecustomize_that_the_shim_hides_runs_after_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.mine = __name__, __file__")
    script = (
        "import sys, sitecustomize; print(*sys.mine, sitecustomize.__file__, [p for p in sys.path if 'shims' in p])"
    )
    mine = tmp_path / "sitecustomize.py"
    assert run([sys.executable, "-c", script], SHIMS, PYTHONPATH=str(tmp_path)) == f"sitecustomize {mine} {mine} []\n"


NODE = """
const dns = require("dns"), net = require("net"), util = require("util");
const all = { all: true };
const server = net.createServer((socket) => socket.end()).listen(0, "sandbox.localdomain", async () => {
  const client = net.connect(server.address().port, "SANDBOX", () => {
    console.log(client.remoteAddress);
    client.destroy();
    server.close();
  });
  console.log(JSON.stringify([
    server.address().address,
    await dns.promises.lookup("sandbox"),
    await util.promisify(dns.lookup)("sandbox.localdomain."),
    await new Promise((done) => dns.lookup("sandbox", all, (error, found) => done(found))),
    await dns.promises.lookup("127.0.0.1"),
    await import("node:dns").then((module) => module.promises.lookup("sandbox")),
    await import("node:dns").then((module) => util.promisify(module.lookup)("sandbox")),
  ]));
});
"""


@needs_node
def test_a_node_child_resolves_by_shim() -> None:
    found = {"address": "127.0.0.1", "family": 4}
    lines = run(["node", "-e", NODE], SHIMS).splitlines()
    assert "127.0.0.1" in lines
    [values] = [json.loads(line) for line in lines if line.startswith("[")]
    assert values == ["127.0.0.1", found, found, [found], found, found, found]


@needs_node
def test_a_node_child_has_an_address_of_its_own_by_shim() -> None:
    script = "require('dns').lookup('sandbox', (error, address) => console.log(address))"
    assert run(["node", "-e", script], SHIMS, address=OWN) == f"{OWN}\n"


@needs_node
def test_the_node_shim_is_found_in_a_directory_with_odd_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / 'a "quoted" name\\'
    odd.mkdir()
    monkeypatch.setattr(child_names, "_NODE_SHIM", shutil.copy(child_names._NODE_SHIM, odd))
    script = "require('dns').promises.lookup('sandbox').then((found) => console.log(found.address))"
    assert run(["node", "-e", script], SHIMS) == "127.0.0.1\n"


def test_the_python_shim_runs_alone() -> None:
    """It may meet any interpreter, so it must not need this package."""
    argv = [sys.executable, "-I", "-S", "-W", "error", str(child_names._PYTHON_SHIM / "sitecustomize.py")]
    assert subprocess.run(argv, capture_output=True, env={}, check=True).stderr == b""
