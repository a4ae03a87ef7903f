"""Whether somebody has anything to do at the moment: read from /proc, so Linux only; elsewhere nobody knows.

A thread that has been sent something is runnable at once, whether a processor is free for it or not. So a process
whose threads all sleep has done whatever the last thing sent to it made it do, however slow the machine is.
"""

import threading
from pathlib import Path

_PROC = Path("/proc")
_BUSY = "RD"  # running or runnable; in the middle of a system call


def is_idle(leader: int) -> bool | None:
    """All threads of this process and of its descendants sleep; None where that cannot be seen."""
    if not _PROC.is_dir():
        return None
    waiting = [leader]
    while waiting:
        try:
            for task in (_PROC / str(waiting.pop()) / "task").iterdir():
                if _is_busy(task):
                    return False
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):  # it has ended meanwhile, or the kernel tells nobody's children
            continue
    return True


def others_are_idle() -> bool | None:
    """All threads of this process but the one that asks sleep; None where that cannot be seen.

    One that waits for the interpreter, or for a lock that the caller holds, sleeps too: look again after a wait.
    """
    if not _PROC.is_dir():
        return None
    own = str(threading.get_native_id())
    for task in (_PROC / "self" / "task").iterdir():
        try:
            if task.name != own and _is_busy(task):
                return False
        except (OSError, IndexError):
            continue
    return True


def _is_busy(task: Path) -> bool:
    return (task / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in _BUSY
