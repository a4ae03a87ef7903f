"""The processes a child has started, wherever they have gone: read from /proc, so Linux only; elsewhere none is found.

Killing a process group misses what has left the group. A descendant shows as one in three ways: it is in the child's
session, its parent is known to be one, or it still writes to the child's output. Nothing is added to the child's
environment to find it by.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _SESSION = 1, 3  # among the fields of /proc/PID/stat that follow the command's closing bracket


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    session: int
    ended: bool


def processes() -> Iterator[Process]:
    """Every process of this machine that can be read."""
    for entry in _PROC.glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text("utf-8", "replace")
        except OSError:  # it has ended meanwhile
            continue
        fields = text.rpartition(")")[2].split()
        if not fields:  # so has this one: what is read of it may be empty
            continue
        yield Process(int(entry.name), int(fields[_PARENT]), int(fields[_SESSION]), fields[0] in "ZX")


def descendants(leader: int) -> set[int]:
    """The living processes of the session that `leader` leads, and their children in whatever session; not `leader`."""
    everyone = list(processes())
    found = {leader} | {process.pid for process in everyone if process.session == leader}
    size = 0
    while size != len(found):
        size = len(found)
        found |= {process.pid for process in everyone if process.parent in found}
    return {process.pid for process in everyone if process.pid in found and not process.ended} - {leader}


def living(pids: set[int]) -> bool:
    """Whether one of these processes has not ended yet."""
    return bool(pids) and any(process.pid in pids and not process.ended for process in processes())


def writers(pipe: int) -> set[int]:
    """The processes that can write to the pipe this file descriptor belongs to, our own session's left out.

    No descendant of a child gets into our session; what has the pipe there is a fork made while the child was started.
    """
    name = f"pipe:[{os.fstat(pipe).st_ino}]"
    ours = os.getsid(0)
    return {process.pid for process in processes() if process.session != ours and _writes(process.pid, name)}


def _writes(pid: int, pipe: str) -> bool:
    try:
        ends = [end for end in (_PROC / str(pid) / "fd").iterdir() if os.readlink(end) == pipe]
        return any(end.lstat().st_mode & stat.S_IWUSR for end in ends)
    except OSError:  # another user's, or it has ended meanwhile
        return False
