"""Threads of this process that die of an exception, while an environment is open: `threading.excepthook`, chained."""

import threading
import traceback
from collections.abc import Callable

Told = Callable[[threading.Thread | None, str], None]
"""Called with the thread, where it is known, and the end of its traceback."""

_OURS = "lambda-telemetry"


class DeathWatch:
    """Tells every environment that is open of each thread that dies; whoever had the hook is told as before."""

    def __init__(self) -> None:
        self._told: tuple[Told, ...] = ()
        self._lock = threading.Lock()
        self._before: Callable[[threading.ExceptHookArgs], object] | None = None

    def add(self, told: Told) -> None:
        """Tell this one, too."""
        with self._lock:
            self._told += (told,)
            if threading.excepthook != self._hook:
                self._before = threading.excepthook
                threading.excepthook = self._hook

    def remove(self, told: Told) -> None:
        """Tell it no longer; with the last one the hook goes, if it is still ours."""
        with self._lock:
            self._told = tuple(one for one in self._told if one != told)
            if not self._told and threading.excepthook == self._hook and self._before is not None:
                threading.excepthook = self._before

    def _hook(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "?"
        if args.exc_type is not SystemExit and not name.startswith(_OURS):
            last = traceback.extract_tb(args.exc_traceback)[-1:] if args.exc_traceback else []
            where = f" ({last[0].filename}:{last[0].lineno} in {last[0].name})" if last else ""
            words = "".join(traceback.format_exception_only(args.exc_type, args.exc_value)).strip()
            for told in self._told:
                told(args.thread, words + where)
        if self._before is not None:
            self._before(args)


DEATH_WATCH = DeathWatch()
"""The one instance: the hook belongs to the process."""
