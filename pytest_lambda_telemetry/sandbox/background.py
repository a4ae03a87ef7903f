"""Deliveries at real moments, where the clock is the system's: a thread makes them."""

import contextlib
import threading

from .sandbox import Sandbox


def deliver_in_background(sandbox: Sandbox, undo: contextlib.ExitStack) -> None:
    """Let a thread deliver what is due, until `undo` ends it."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=sandbox.engine.deliver_in_real_time, args=(stopped.is_set,), name="lambda-telemetry-clock", daemon=True
    )

    def stop() -> None:
        with sandbox.lock:
            stopped.set()
            sandbox.lock.notify_all()
        thread.join()

    thread.start()
    undo.callback(stop)
