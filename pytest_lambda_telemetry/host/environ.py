"""The environment variables of an extension: for the test process, and for a child process."""

import os
from collections.abc import Mapping

from ..model.errors import MisuseError
from .names import LOOPBACK, SANDBOX_NAMES

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "example/secret/access/key/of/no/account0",
    "AWS_SESSION_TOKEN": "ExampleSessionTokenOfNoAccount",
}
"""Made-up credentials: a child must never be able to reach a real account by accident."""

NEVER_IN_EXTENSIONS = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
    }
)
"""What Lambda gives to a runtime, and to no extension (Extensions API)."""

_LAYERS = "/opt/lib"  # the part of Lambda's own value that shadows nothing on this machine

_UNPROXIED = (LOOPBACK, "localhost", *SANDBOX_NAMES)
_NO_PROXY = ("no_proxy", "NO_PROXY")


def lambda_variables(
    *,
    runtime_api: str,
    function_name: str,
    function_version: str,
    memory_mb: int,
    initialization_type: str,
    region: str,
) -> dict[str, str]:
    """The variables set in the test process: those of the Extensions API that no other code of the test depends on.

    PATH, LD_LIBRARY_PATH, LANG, TZ and the credentials stay the user's; `child_variables` adds them for a child.
    `runtime_api` is `host:port`, without a scheme.
    """
    return {
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_FUNCTION_NAME": function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": function_version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def child_variables(variables: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of an extension in a process of its own, and nothing more (Extensions API).

    `variables` are those of `lambda_variables`; `own` are the function's, which the test passes, and win. PATH is the
    caller's, so that programs are found, and so is LD_LIBRARY_PATH, or it names where Lambda's layers keep libraries.
    There is no proxy variable, so none has to be excepted. Raises MisuseError when `own` names what an extension never
    gets.
    """
    if never := sorted(NEVER_IN_EXTENSIONS & own.keys()):
        raise MisuseError(
            f"env has {', '.join(never)}: Lambda gives that to the runtime and never to an extension, so an extension"
            " that reads it works here and fails there; leave it out of env"
        )
    return {
        **variables,
        **CREDENTIALS,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": os.environ.get("PATH", os.defpath),
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", _LAYERS),
        **own,
    }


def _without_proxy(address: str) -> dict[str, str]:
    """NO_PROXY in both spellings: what the user excepts in either, and the loopback names.

    Both get the same value because a client that finds the lower-case one does not look at the other.
    """
    spelt = [os.environ.get(name, "") for name in _NO_PROXY]
    if any(value.strip() == "*" for value in spelt):
        return dict.fromkeys(_NO_PROXY, "*")
    hosts = dict.fromkeys(host.strip() for value in spelt for host in value.split(",") if host.strip())
    return dict.fromkeys(_NO_PROXY, ",".join(hosts | dict.fromkeys((*_UNPROXIED, address))))


class Frame:
    """One environment's hold on `os.environ`: what it set, and what was there before (None: nothing)."""

    __slots__ = ("before", "variables")

    def __init__(self, variables: Mapping[str, str], before: dict[str, str | None]) -> None:
        self.variables = variables
        self.before = before


class EnvironOwner:
    """The environments that have set variables in `os.environ`, oldest first: the one entered last owns them.

    Leaving restores each variable exactly, in whatever order the environments are left. A variable that the user has
    changed since is the user's and stays; `settle` deals with it when the user's change is taken back later.
    """

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._foreign: list[tuple[str, str, str | None]] = []

    def enter(self, variables: Mapping[str, str], address: str = LOOPBACK) -> Frame:
        """Set these variables, and except the loopback names from proxies; returns the token for `leave`.

        `address` is what the sandbox's names resolve to.
        """
        wanted = {**variables, **_without_proxy(address)}
        frame = Frame(wanted, {name: os.environ.get(name) for name in wanted})
        os.environ.update(wanted)
        self._frames.append(frame)
        return frame

    def leave(self, frame: Frame) -> None:
        """Give the variables back; leaving twice does nothing."""
        if frame not in self._frames:
            return
        place = self._frames.index(frame)
        del self._frames[place]
        later = self._frames[place:]
        for name, ours in frame.variables.items():
            before = frame.before[name]
            heir = next((other for other in later if name in other.variables), None)
            if heir is None:
                self._restore(name, ours, before)
            elif heir.before[name] == ours:
                heir.before[name] = before

    def settle(self) -> None:
        """To be called when a test's last finalizer has run: restore what an undo has brought back since `leave`.

        A `monkeypatch.setenv` made over our value and undone after us puts our value back, for every later test.
        """
        foreign, self._foreign = self._foreign, []
        for name, ours, before in foreign:
            if os.environ.get(name) == ours:
                _put(name, before)

    def _restore(self, name: str, ours: str, before: str | None) -> None:
        if os.environ.get(name) == ours:
            _put(name, before)
        else:
            self._foreign.append((name, ours, before))


def _put(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


ENVIRON = EnvironOwner()
"""The one owner: `os.environ` belongs to the process."""
