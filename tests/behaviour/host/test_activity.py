"""Who has anything to do: what the system tells of threads and processes."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_lambda_telemetry.host.activity import others_are_idle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no other system tells")


@contextmanager
def working() -> Iterator[None]:
    """A thread of this process has something to do."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_thread_that_works_is_seen_and_one_that_waits_is_none() -> None:
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    try:
        with working():
            assert any(others_are_idle() is False for _ in range(10_000))  # it may be between two pieces of work
        assert any(others_are_idle() for _ in range(10_000))  # its end takes a moment
    finally:
        waiting.set()
        thread.join()
