"""Which process is at the other end of a connection within this machine: read from /proc, so Linux only."""

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

Address = tuple[str, int]
"""Host, an IPv4 address, and port."""

_PROC = Path("/proc")


def held_by(near: Address, far: Address, leaders: Iterable[int]) -> list[int]:
    """Which of these processes hold, themselves or in a descendant, the socket at `near` that is connected to `far`.

    None of them where that cannot be seen.
    """
    link = _socket(near, far)
    return [] if link is None else [leader for leader in leaders if any(link in _files(pid) for pid in _tree(leader))]


def _socket(near: Address, far: Address) -> str | None:
    """The socket as the files of a process show it."""
    try:
        wanted = [_as_listed(near), _as_listed(far)]
        with (_PROC / "net" / "tcp").open() as table:
            return next((f"socket:[{row[9]}]" for line in table if (row := line.split())[1:3] == wanted), None)
    except (OSError, IndexError):
        return None


def _as_listed(address: Address) -> str:
    host, port = address
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"


def _files(pid: int) -> set[str]:
    """What the open files of a process are; none of those that it closes meanwhile."""
    found = set()
    try:
        for file in (_PROC / str(pid) / "fd").iterdir():
            try:
                found.add(os.readlink(file))
            except OSError:
                continue
    except OSError:
        pass
    return found


def _tree(leader: int) -> Iterator[int]:
    """A process and its descendants."""
    waiting = [leader]
    while waiting:
        yield (pid := waiting.pop())
        try:
            for task in (_PROC / str(pid) / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended meanwhile, or the kernel tells nobody's children
            continue
