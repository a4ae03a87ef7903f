"""How a child process resolves `sandbox.localdomain` and `sandbox`: the best way that this machine allows."""

import atexit
import contextlib
import functools
import io
import os
import pkgutil
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.errors import MisuseError
from . import layers
from .addresses import LOOPBACK
from .names import SANDBOX_NAMES


def hosts_line(address: str) -> str:
    """The line of a hosts file that gives the names this address."""
    return " ".join((address, *SANDBOX_NAMES))


HOSTS_LINE = hosts_line(LOOPBACK)
"""What the system's hosts file needs for every child to resolve the names, in any language."""
NO_NAMESPACES = "PYTEST_LAMBDA_TELEMETRY_NO_NAMESPACES"
"""Environment variable: `1` forbids mount namespaces, so that the fallback can be tested."""
SHIM_ADDRESS = "PYTEST_LAMBDA_TELEMETRY_SANDBOX_ADDRESS"
"""Environment variable of a child that has shims: what the names resolve to there."""

HINT = (
    f"on this machine only Python and Node.js children resolve {' and '.join(SANDBOX_NAMES)}: it allows no private"
    f" mount namespace. For any other extension add this line to /etc/hosts: {HOSTS_LINE} (with it the"
    f" names are {LOOPBACK} in every test)"
)

_FILES = ("launch.py", "shims/python/sitecustomize.py", "shims/node/sandbox-names.cjs")


def _on_disk() -> Path:
    """The folder of the files that other programs read: this one, or what a zipapp has unpacked until its end."""
    here = Path(__file__).parent
    if here.is_dir():
        return here
    folder = tempfile.mkdtemp(prefix="pytest-lambda-telemetry-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in _FILES:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pkgutil.get_data(__package__, name) or b"")
    return Path(folder)


_HERE = _on_disk()
_LAUNCHER = _HERE / "launch.py"
_PYTHON_SHIM = _HERE / "shims" / "python"
_NODE_SHIM = _HERE / "shims" / "node" / "sandbox-names.cjs"
_HOSTS = Path("/etc/hosts")

_PROBE = f"import socket; print([socket.gethostbyname(name) for name in {SANDBOX_NAMES!r}])"
_PROBE_ADDRESS = "127.254.255.254"  # not what the system's own hosts file has
_PROBE_ANSWER = repr([_PROBE_ADDRESS] * len(SANDBOX_NAMES)).encode()
_PROBE_TIMEOUT_S = 5.0  # a look-up that goes out to a name server has already failed


@dataclass(frozen=True, slots=True)
class Resolution:
    """The way that was chosen: `description` is for the journal, `hint` for the user where not every child is served.

    `namespace` is None, or which namespaces a child gets: "mount" (as root) or "user" (a user and a mount namespace).
    """

    description: str
    namespace: str | None = None
    shims: bool = False
    hint: str | None = None

    def address(self, wanted: str) -> str:
        """What the names resolve to in a child that is started with this address: the system's hosts file has one."""
        return wanted if self.namespace or self.shims else LOOPBACK

    def layer(self, layer: str | os.PathLike[str] | None) -> str | None:
        """The absolute path of the folder that a child sees as /opt. Raises MisuseError when that cannot be."""
        if layer is None:
            return None
        path = layers.folder(layer)
        if self.namespace is None:
            raise MisuseError(
                f"layer={path!r}: {_no_namespace()}, and only in one of its own a child can see a folder as"
                f" {layers.PLACE}. Run the program by its own path, run_extension([{path + '/extensions/NAME'!r}]), or"
                " run the tests on Linux where namespaces are allowed: in a container as root with the capability"
                " SYS_ADMIN; elsewhere with user namespaces (kernel.unprivileged_userns_clone=1, and on Ubuntu"
                " kernel.apparmor_restrict_unprivileged_userns=0)"
            )
        return path

    def environment(self, env: Mapping[str, str], address: str = LOOPBACK) -> dict[str, str]:
        """The child's variables: `env`, and with shims PYTHONPATH and NODE_OPTIONS, before what they have already.

        A variable of ours tells the shims the address.
        """
        if not self.shims:
            return dict(env)
        python = [str(_PYTHON_SHIM), env.get("PYTHONPATH", "")]
        quoted = str(_NODE_SHIM).replace("\\", "\\\\").replace('"', '\\"')
        node = [f'--require "{quoted}"', env.get("NODE_OPTIONS", "")]
        return {
            **env,
            "PYTHONPATH": os.pathsep.join(filter(None, python)),
            "NODE_OPTIONS": " ".join(filter(None, node)),
            SHIM_ADDRESS: address,
        }

    def start(
        self,
        program: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        output: int,
        address: str = LOOPBACK,
        layer: str | os.PathLike[str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start `program` with these arguments in a session of its own; stdout and stderr go to the fd `output`.

        There the names resolve to `address`, if `self.address` says so, and /opt is the folder `layer`. Returns when
        the program runs: its process id, environment and signals are as if it had been started directly. Raises OSError
        as Popen does, and MisuseError where there can be no layer.
        """
        layer = self.layer(layer)
        if self.namespace is None:
            return _popen(argv, program, env=self.environment(env, address), cwd=cwd, output=output)
        with _pipe() as (reading, writing):
            launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
            report = writing.fileno()
            options = [self.namespace, str(report), tempfile.gettempdir(), hosts_line(address)]
            options += ["", "", ""] if layer is None else [layer, layers.PLACE, os.path.abspath(cwd or "")]
            command = [*launcher, *options, program, *argv]
            process = _popen(command, None, env=env, cwd=None if layer else cwd, output=output, keep=(report,))
            writing.close()
            if failure := reading.read(64):  # nothing, and the end, once the launcher has become the program
                process.wait()
                step, number = failure.decode().split()
                reason = os.strerror(int(number))
                if step == "layer":
                    raise MisuseError(layers.refusal(str(layer), reason))
                raise OSError(int(number), reason, program)
            return process


_HOSTS_FILE = Resolution(f"child processes resolve sandbox.localdomain through the system's hosts file, to {LOOPBACK}")
_NAMESPACES = (
    Resolution(
        "child processes resolve sandbox.localdomain through a hosts file in a mount namespace of their own",
        namespace="mount",
    ),
    Resolution(
        "child processes resolve sandbox.localdomain through a hosts file in a user and a mount namespace of their own",
        namespace="user",
    ),
)
_SHIMS = Resolution(
    "child processes resolve sandbox.localdomain through PYTHONPATH and NODE_OPTIONS: in Python and Node.js only",
    shims=True,
    hint=HINT,
)


def choose() -> Resolution:
    """The way for this machine, found out once per process: it takes some ten milliseconds."""
    return _choose(os.environ.get(NO_NAMESPACES) == "1")


@functools.cache
def _choose(no_namespaces: bool) -> Resolution:
    """A namespace comes first: only there every child has the environment's own address."""
    candidates = () if no_namespaces or not sys.platform.startswith("linux") else _NAMESPACES
    return next((way for way in candidates if works(way)), _HOSTS_FILE if hosts_file_resolves(_HOSTS) else _SHIMS)


def _no_namespace() -> str:
    if os.environ.get(NO_NAMESPACES) == "1":
        return f"{NO_NAMESPACES}=1 forbids mount namespaces"
    return "this machine allows no private mount namespace"


def hosts_file_resolves(path: Path) -> bool:
    """Whether this hosts file has both names at the loopback address; the resolver might ask a name server."""
    addresses: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            addresses.setdefault(name.lower(), address)
    return all(addresses.get(name) == LOOPBACK for name in SANDBOX_NAMES)


def works(way: Resolution) -> bool:
    """Whether a child started this way resolves both names to the address it is given."""
    with _pipe() as (reading, writing):
        probe = [sys.executable, "-I", "-S", "-c", _PROBE]
        try:
            process = way.start(
                *(sys.executable, probe),
                env=os.environ,
                cwd=None,
                output=writing.fileno(),
                address=_PROBE_ADDRESS,
            )
        except OSError:
            return False
        writing.close()
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            answer = reading.read(256) if selector.select(_PROBE_TIMEOUT_S) else b""
        process.kill()
        process.wait()
        return answer.strip() == _PROBE_ANSWER


def _popen(
    argv: Sequence[str],
    program: str | None,
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    keep: tuple[int, ...] = (),
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        argv,
        executable=program,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=keep,
    )


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[io.FileIO, io.FileIO]]:
    """The reading and the writing end of a pipe, which no child inherits; closed afterwards."""
    reading, writing = os.pipe()
    with io.FileIO(reading, "r") as source, io.FileIO(writing, "w") as sink:
        yield source, sink
