"""Facts about the processes and threads of extensions, and what a user should know about this machine; see `facts`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """A child runs; `resolution` says how it resolves the sandbox's names."""

    who: str
    pid: int
    resolution: str


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A child ended by itself."""

    who: str
    returncode: int | None


@dataclass(frozen=True, slots=True)
class ProcessKilled:
    """A child was killed. `had_grace`: it was told, and did not end in time."""

    who: str
    had_grace: bool


@dataclass(frozen=True, slots=True)
class ProcessStopped:
    """A batch is not sent, because the environment is frozen and its listener's process stands still."""

    who: str


@dataclass(frozen=True, slots=True)
class OutputLost:
    """Output of a child that found no room in its inbox."""

    who: str
    lines: int
    size: int


@dataclass(frozen=True, slots=True)
class OutputCut:
    """A line of a child's output was longer than `limit` bytes, and cut there."""

    who: str
    limit: int


@dataclass(frozen=True, slots=True)
class UnknownName:
    """An extension registered under a name that no process was started with, while others have not registered."""

    who: str
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThreadDied:
    """A thread of this process has died of an exception; `words` are the exception's, with its last line.

    `outlived` is as in Registered.
    """

    who: str
    words: str
    outlived: str = ""


@dataclass(frozen=True, slots=True)
class Hinted:
    """What the user should know about this machine or about a library, once."""

    who: str
    hint: str
