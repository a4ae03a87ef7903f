"""A folder that a child sees as /opt: in each kind of namespace, whether the machine has an /opt or not."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry.host import child_names, layers
from pytest_lambda_telemetry.host.child_names import NO_NAMESPACES, Resolution, works
from pytest_lambda_telemetry.host.process import ExtensionProcess
from pytest_lambda_telemetry.model.errors import MisuseError

MISSING = "/pytest-lambda-telemetry-opt"
ANYWHERE = Resolution("", namespace="mount")  # for what is refused before anything is started


@functools.cache
def allowed(namespace: str) -> bool:
    return works(Resolution("", namespace=namespace))


@pytest.fixture(params=["mount", "user"])
def way(request: pytest.FixtureRequest) -> Resolution:
    """Each kind of namespace that this machine allows."""
    if not allowed(request.param):
        pytest.skip(f"this machine allows no {request.param} namespace")
    return Resolution("", namespace=request.param)


@pytest.fixture(params=["there", "missing"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """What stands for /opt: a folder of this machine, or one that it does not have."""
    path = MISSING
    if request.param == "there":
        path = str(tmp_path / "machine" / "opt")
        Path(path, "bin").mkdir(parents=True)
    monkeypatch.setattr(layers, "PLACE", path)
    return path


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    folder = tmp_path / "layer"
    (folder / "extensions").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "data").write_text("of the layer\n")
    script(folder / "extensions" / "ext", "pwd; echo $0")
    return folder


def script(path: Path, body: str, interpreter: str = "/bin/sh") -> Path:
    path.write_text(f"#!{interpreter}\n{body}\n")
    path.chmod(0o755)
    return path


def run(argv: list[Any], way: Resolution, layer: Any, **options: Any) -> str:
    options = {"name": "child", "env": {"PATH": os.environ["PATH"]}} | options
    child = ExtensionProcess(argv, resolution=way, layer=layer, **options)
    try:
        child.wait(30)
    finally:
        child.terminate(0)
    return child.output


def test_an_extension_of_a_layer_runs_where_lambda_has_it(
    way: Resolution, place: str, layer: Path, tmp_path: Path
) -> None:
    assert run([f"{place}/extensions/ext"], way, layer, cwd=tmp_path) == f"{tmp_path}\n{place}/extensions/ext\n"
    assert run(["cat", f"{place}/data"], way, os.path.relpath(layer)) == "of the layer\n"


def test_opt_itself(way: Resolution, layer: Path) -> None:
    """Whether this machine has one or not."""
    assert run(["/opt/extensions/ext"], way, layer, cwd="/opt/bin") == "/opt/bin\n/opt/extensions/ext\n"


def test_nothing_else_is_different(
    way: Resolution, place: str, layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
import json, os
open('/dev/null', 'w').close()
print(json.dumps([
    os.getpid() == os.getpgrp() == os.getsid(0), os.getuid(), os.getgid(), os.getcwd(), dict(os.environ),
    sorted(os.listdir('/proc/self/fd')), open('/proc/self/cmdline').read(), sorted(os.listdir(os.pardir)),
    [[name, *os.lstat('/' + name)[:3]] for name in sorted(os.listdir('/')) if name != 'pytest-lambda-telemetry-opt'],
    [name for name in ('/tmp', '/proc/self', '/sys') if not os.listdir(name)],
]))
"""
    monkeypatch.chdir(tmp_path)
    argv = [sys.executable, "-I", "-S", "-c", body]
    found, expected = (json.loads(run(argv, each, each.namespace and layer)) for each in (way, Resolution("")))
    for each in (found, expected):  # a link that was made anew is another file
        each[8] = [[name, *([] if os.path.islink(f"/{name}") else rest)] for name, *rest in each[8]]
    assert found == expected


def test_nothing_is_left(
    way: Resolution, place: str, layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def machine() -> list[object]:
        return [
            Path("/proc/self/mounts").read_bytes(),
            sorted(os.listdir("/")),
            sorted(map(str, tmp_path.rglob("*"))),
        ]

    before = machine()
    assert run(["ls", place], way, layer) == "bin\ndata\nextensions\n"
    assert machine() == before
    with pytest.raises(MisuseError):
        run([script(tmp_path / "bad", "", "/nowhere/sh")], way, layer)
    os.unlink(tmp_path / "bad")
    assert machine() == before


def test_a_layer_cannot_be_written_as_on_lambda(way: Resolution, place: str, layer: Path) -> None:
    output = run(["sh", "-c", f"echo changed > {place}/data; cat {place}/data"], way, layer)
    assert "Read-only file system" in output
    assert output.endswith("of the layer\n")


@pytest.fixture
def everybodys(layer: Path) -> Iterator[Path]:
    """A folder with the layer and the launcher that an unprivileged user can read."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(layer, f"{folder}/layer")
        shutil.copy(child_names._LAUNCHER, folder)
        os.mkdir(f"{folder}/temporary")
        for path in (folder, f"{folder}/temporary"):
            os.chmod(path, 0o777)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an unprivileged user")
@pytest.mark.parametrize("place", ["/opt", MISSING])
def test_it_takes_no_privilege_where_user_namespaces_are_allowed(everybodys: Path, place: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [], "capture_output": True, "text": True}
    if subprocess.run(["unshare", "-rm", "true"], **nobody).returncode:
        pytest.skip("this machine allows unprivileged users no namespaces")
    if not (python := shutil.which("python3", path="/usr/bin")):
        pytest.skip("there is no Python that everybody can run")
    launcher: list[str | Path] = [
        python,
        "-I",
        "-S",
        everybodys / "launch.py",
        "user",
        str(writing),
        everybodys / "temporary",
    ]
    options: list[str | Path] = ["127.1.2.3 sandbox.localdomain sandbox", everybodys / "layer", place, "/tmp"]
    program = ["/bin/sh", "sh", "-c", f"id -u; {place}/extensions/ext; grep -c 127.1.2.3 /etc/hosts"]
    done = subprocess.run([*launcher, *options, *program], pass_fds=[writing], **nobody)
    os.close(writing)
    assert (done.stdout, done.stderr) == (f"65534\n/tmp\n{place}/extensions/ext\n1\n", "")
    assert os.listdir(everybodys / "temporary") == []


def test_names_resolve_too(way: Resolution, place: str, layer: Path) -> None:
    output = run(["getent", "hosts", "sandbox"], way, layer, address="127.1.2.3")
    assert output.split() == ["127.1.2.3", "sandbox.localdomain", "sandbox"]


def test_a_program_is_found_in_the_path_of_the_layer(way: Resolution, place: str, layer: Path) -> None:
    script(layer / "bin" / "tool", "echo tool")
    assert run(["tool"], way, layer, env={"PATH": f":{place}/bin:/bin"}) == "tool\n"
    assert run(["sh", "-c", "echo sh"], way, layer, env={"PATH": f"{place}/bin:/bin"}) == "sh\n"


def test_links_in_a_layer_lead_within_it(way: Resolution, place: str, layer: Path) -> None:
    script(layer / "bin" / "tool", "echo tool")
    (layer / "extensions" / "absolute").symlink_to(f"{place}/bin/tool")
    (layer / "extensions" / "relative").symlink_to("../bin/tool")
    (layer / "more").symlink_to(f"{place}/extensions")
    for name in ("extensions/absolute", "extensions/relative", "more/absolute", "more/../bin/tool"):
        assert run([f"{place}/{name}"], way, layer) == "tool\n"
    assert run(["./relative"], way, layer, cwd=f"{place}/more") == "tool\n"


def test_an_interpreter_below_opt_starts_children_all_the_same(
    way: Resolution, layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a machine's Python is in /opt: it is hidden from the child, and the child is another program."""
    monkeypatch.setattr(layers, "PLACE", str(tmp_path / "opt"))
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "opt" / "python"))
    assert run(["ls", str(tmp_path / "opt")], way, layer) == "bin\ndata\nextensions\n"


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Python below this machine's own /opt."""
    monkeypatch.setattr(layers, "PLACE", str(tmp_path / "opt"))
    (tmp_path / "opt" / "bin").mkdir(parents=True)
    python = tmp_path / "opt" / "bin" / "python"
    python.symlink_to(sys.executable)
    return python


Command = Callable[[Path, Path], list[Any]]
COMMANDS: dict[str, Command] = {
    "itself": lambda python, other: [python, "-c", "1"],
    "in the path": lambda python, other: ["python", "-c", "1"],
    "behind a link": lambda python, other: [link(other / "venv", python), "-c", "1"],
    "of a script": lambda python, other: [script(other / "ext", "", str(python))],
    "of a script of the layer": lambda python, other: [
        script(other / "layer" / "extensions" / "py", "", str(python)) and f"{layers.PLACE}/extensions/py"
    ],
}


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_hidden_interpreter_is_misuse(command: Command, hidden: Path, layer: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"cannot be run where the layer .* is hidden there\. Put it into the layer"):
        run(command(hidden, tmp_path), ANYWHERE, layer, env={"PATH": str(hidden.parent)})


def test_a_link_to_what_is_hidden_says_where_it_leads(hidden: Path, layer: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=rf"{tmp_path}/venv \(it is {os.path.realpath(sys.executable)}\) cannot"):
        run([link(tmp_path / "venv", hidden)], ANYWHERE, layer)


def test_a_hidden_working_directory_is_misuse(hidden: Path, layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hidden.parent / "project").mkdir()
    monkeypatch.chdir(hidden.parent / "project")
    with pytest.raises(MisuseError, match=r"working directory .*/opt/bin/project does not exist where .* say cwd='…'$"):
        run(["sh"], ANYWHERE, layer)
    with pytest.raises(MisuseError, match=r"working directory /nowhere does not exist$"):
        run(["sh"], ANYWHERE, layer, cwd="/nowhere")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["/opt/extensions/nobody"], r"no file /opt/extensions/nobody \(in the layer it would be .*/extensions/nobody"),
        (["/opt/extensions/plain"], r"/opt/extensions/plain is not executable; make it so"),
        (["/opt/extensions/circle"], r"there is no file /opt/extensions/circle"),
        (["plain"], r"there is no program 'plain' in PATH"),
        (["/nowhere/ext"], r"there is no file /nowhere/ext$"),
    ],
)
def test_what_a_layer_does_not_have_is_misuse(layer: Path, argv: list[str], message: str) -> None:
    (layer / "extensions" / "plain").write_text("")
    (layer / "extensions" / "circle").symlink_to("circle")
    with pytest.raises(MisuseError, match=message):
        run(argv, ANYWHERE, layer, env={"PATH": "/opt/extensions"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "/nowhere/layer",
            r"^layer='/nowhere/layer' is not valid: /nowhere/layer does not exist; it must be the folder",
        ),
        ("/etc/passwd", r"^layer='/etc/passwd' is not valid: /etc/passwd is no folder; .* with the extension in it"),
        (b"/tmp", r"^layer=b'/tmp' is not valid: it must be the path of a folder$"),
        (True, r"^layer=True is not valid"),
    ],
)
def test_a_layer_is_a_folder(value: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        run(["true"], ANYWHERE, value)
    with pytest.raises(MisuseError, match=message):
        Resolution("").start("/bin/true", ["true"], env={}, cwd=None, output=1, layer=value)


@pytest.mark.parametrize("without", [Resolution(""), Resolution("", shims=True)], ids=["hosts file", "shims"])
def test_without_namespaces_a_layer_is_misuse(
    layer: Path, without: Resolution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NO_NAMESPACES, raising=False)
    remedy = rf"Run the program by its own path, run_extension\(\['{layer}/extensions/NAME'\]\), or run the tests on"
    with pytest.raises(MisuseError, match=rf"^layer=.*: this machine allows no private mount namespace, .* {remedy}"):
        run(["/opt/extensions/ext"], without, layer)
    monkeypatch.setenv(NO_NAMESPACES, "1")
    with pytest.raises(MisuseError, match=rf"{NO_NAMESPACES}=1 forbids mount namespaces"):
        run(["/opt/extensions/ext"], without, layer)


def test_a_refusal_of_the_system_is_misuse(layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = tmp_path / "launch.py"
    launcher.write_text("import os, sys; os.write(int(sys.argv[2]), b'layer 22')")
    monkeypatch.setattr(child_names, "_LAUNCHER", launcher)
    monkeypatch.setattr(layers, "PLACE", MISSING)
    with pytest.raises(
        MisuseError,
        match=rf"^layer='{layer}': .* refuses to show it as {MISSING}: Invalid argument; .* make an empty one$",
    ):
        run(["true"], ANYWHERE, layer)
    monkeypatch.setattr(layers, "PLACE", "/tmp")
    with pytest.raises(MisuseError, match=r"as /tmp: Invalid argument$"):
        run(["true"], ANYWHERE, layer)
