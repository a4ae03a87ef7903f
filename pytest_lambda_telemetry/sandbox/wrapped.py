"""Internal extensions, which the runtime starts: they run in a process that was started as something else."""

from collections.abc import Iterable
from threading import Condition

from ..api.parties import Extensions
from ..host.process import ExtensionProcess
from ..real import Real

_SECOND_NAME_S = 0.25  # what runs an internal extension and is one itself registers twice, one soon after the other
_BUSY_S = 1.0
_LOOK_S = 0.005


class Wrapped:
    """Of one environment: which child runs an extension that does not have its name. The caller holds the `lock`."""

    def __init__(self, lock: Condition, extensions: Extensions) -> None:
        self._lock = lock
        self._extensions = extensions
        self._seen: dict[str, ExtensionProcess] = {}
        self._in: dict[str, ExtensionProcess] = {}

    def saw(self, name: str, process: ExtensionProcess) -> None:
        """A call that names this extension has come from that process."""
        self._seen[name] = process

    def registered(self, name: str, unregistered: Iterable[ExtensionProcess]) -> ExtensionProcess | None:
        """An internal extension has registered from a child: from the one it was seen in, else from one of these."""
        process = self._seen.get(name) or next(iter(unregistered), None)
        if process is not None:
            self._in[name] = process
        return process

    def process_of(self, name: str) -> ExtensionProcess | None:
        """The process that runs this extension."""
        return self._in.get(name)

    def names(self, process: ExtensionProcess) -> list[str]:
        """The name of a process, and those of the extensions that it runs under another one."""
        return [process.name, *(name for name, wrapper in self._in.items() if wrapper is process)]

    def await_own_names(self) -> bool:
        """Give those that may be about to register under their own name, too, a real moment; whether there are any.

        The lock is not held.
        """
        found = bool(self._in)
        deadline = Real.monotonic() + _SECOND_NAME_S
        with self._lock:
            while waiting := [one for one in self._in.values() if self._may_register(one)]:
                remaining = deadline - Real.monotonic()
                busy = any(one.settled() is False for one in waiting)
                if remaining <= 0 and (not busy or remaining < -_BUSY_S):
                    break
                self._lock.wait(max(remaining, _LOOK_S))
        return found

    def _may_register(self, process: ExtensionProcess) -> bool:
        return process.returncode is None and self._extensions.by_name(process.name) is None

    def begin_anew(self) -> None:
        """Another execution environment, in which none has registered."""
        self._seen.clear()
        self._in.clear()
