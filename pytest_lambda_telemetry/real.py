"""The real clocks and the real socket class, captured once and before any test can replace them.

Class attributes, because freezegun rewrites module globals; loaded by the plugin, because a module first imported
inside a freeze would keep the fakes for ever. No other module captures these.
"""

import socket
import sys
import time
from collections.abc import Callable


def _genuine(name: str) -> Callable[[], float]:
    """The real clock function, also where this module is first imported inside a freeze."""
    freezegun = sys.modules.get("freezegun.api")
    found: Callable[[], float] = getattr(freezegun, f"real_{name}", None) or getattr(time, name)
    return found


class Real:
    """What the operating system says, whatever the test has frozen, mocked or forbidden."""

    sleep = staticmethod(time.sleep)
    monotonic = staticmethod(_genuine("monotonic"))
    """Seconds of the real monotonic clock."""
    _wall = staticmethod(_genuine("time"))
    socket = socket.socket
    """The socket class as it was before pytest-socket or a name patch touched it."""

    @classmethod
    def time(cls) -> float:
        """Seconds since the epoch, of the real wall clock."""
        library = sys.modules.get("time_machine")  # it replaces the C function itself, but has a way out
        if library is not None and library.escape_hatch.is_travelling():
            return float(library.escape_hatch.time.time())
        return cls._wall()
