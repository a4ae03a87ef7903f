"""Calls beside each other: which wait for which, and what becomes of them when a client hangs up or resets."""

import json
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.helpers import Listener, call, register
from tests.support.programs import program
from tests.support.server import JSON, TIMEOUT, Answer, Client, Running, serving

LINE = {"type": "function", "record": "a line"}


@pytest.fixture
def beside(server: Running) -> Iterator[Callable[..., "Future[Answer]"]]:
    """Makes a call on a connection of its own, beside others."""

    def make(call: str, given: dict[str, Any]) -> Answer:
        with server.client() as client:
            return client.post(call, **given)

    with ThreadPoolExecutor(32) as pool:
        yield lambda call, **given: pool.submit(make, call, given)


def begin(server: Running, name: str, **given: Any) -> socket.socket:
    """Send a call, and do not wait for its answer."""
    host, port = server.control.split(":")
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    body = json.dumps(given).encode()
    head = f"POST /v1/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock


class Held:
    """A listener that keeps deliveries waiting until it is let go."""

    def __init__(self) -> None:
        self.arrived, self._let_go = threading.Semaphore(0), threading.Event()

    def __call__(self, _number: int) -> int:
        self.arrived.release()
        self._let_go.wait(TIMEOUT)
        return 200

    def wait(self) -> None:
        assert self.arrived.acquire(timeout=TIMEOUT)

    def let_go(self) -> None:
        self._let_go.set()


@contextmanager
def held() -> Iterator[tuple[Held, Listener]]:
    answers = Held()
    with Listener(answers) as listener:
        try:
            yield answers, listener
        finally:
            answers.let_go()


def test_a_long_call_keeps_no_other_one_waiting_but_those_that_move_time(
    client: Client, beside: Callable[..., "Future[Answer]"]
) -> None:
    with held() as (answers, listener):
        client.do("reset", delivery_timeout_s=TIMEOUT)
        client.do("subscribe", uri=listener.uri)
        client.do("emit", events=[LINE])
        first = beside("advance", seconds=1)
        answers.wait()
        moving = [beside("advance", seconds=one) for one in (10, 100)]
        waiting = beside("wait_for_extension", name="late", timeout=TIMEOUT)
        assert client.read("elapsed") == 1.0
        assert client.do("emit", events=[LINE]) == []  # only buffered
        assert client.read("deliveries") == []
        client.do("register", name="late")
        assert waiting.result(TIMEOUT).value["name"] == "late"
        assert not any(one.done() for one in (first, *moving))
        answers.let_go()
        assert [one["types"] for one in first.result(TIMEOUT).value] == [["function"]]
        assert sorted(len(one.result(TIMEOUT).value) for one in moving) == [0, 1]
        assert client.read("elapsed") == 111.0


def test_a_listener_may_emit_while_it_is_delivered_to(server: Running, client: Client) -> None:
    told: list[Any] = []

    def answer(number: int) -> int:
        with server.client() as own:
            told.append(own.do("emit", events=[{"type": "extension", "record": f"batch {number}"}]))
        return 200

    with Listener(answer) as listener:
        client.do("subscribe", uri=listener.uri, types=["function"])
        client.do("emit", events=[LINE])
        assert len(client.do("advance", seconds=1)) == 1
    assert told == [[]]


def threads_of(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def until_threads(server: Running, client: Client, count: int) -> None:
    """Return once the server has so many threads; one serves each connection."""
    for _ in range(600):
        if threads_of(server) == count:
            return
        client.post("wait_for_extension", name="nobody", timeout=0.1)
    raise AssertionError(f"{threads_of(server)} threads, not {count}")


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="only Linux shows the threads of another process")
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("wait_for_extension", {"timeout": 1e9}),
        ("wait_for_subscription", {"timeout": 1e9}),
        ("wait_until_ready", {"timeout": 1e9}),
        ("backend/backend/wait_for", {"timeout": 1e9}),
        ("assert_exactly_once", {"timeout": 1e9}),
        ("assert_at_least_once", {"timeout": 1e9, "seen": ["another line"]}),
        ("extension_processes/ext.py/wait", {"timeout": 1e9}),
        ("advance", {"seconds": 1}),
        ("invoke", {}),
    ],
)
def test_a_client_that_hangs_up_ends_its_call(name: str, given: dict[str, Any], tmp_path: Any) -> None:
    with serving() as server, server.client() as client, held() as (answers, listener):
        client.do("reset", delivery_timeout_s=1000, extension_timeout_s=1000)
        client.do("backend")
        client.do("subscribe", uri=listener.uri)
        if name.startswith("extension_processes"):
            client.do("run_extension", argv=program(tmp_path, "for_ever()"))
        client.do("emit", events=[LINE])
        if name.startswith("assert"):
            answers.let_go()
            assert client.do("flush")[0]["ok"]
        before = threads_of(server)
        sock = begin(server, name, **given)
        until_threads(server, client, before + 1)
        if name in ("advance", "invoke"):
            answers.wait()
        sock.close()
        until_threads(server, client, before)
        client.do("advance", ms=0) if name != "invoke" else client.do("reset")


def test_a_call_in_line_whose_client_hangs_up_is_never_made(server: Running, client: Client) -> None:
    with held() as (answers, listener):
        client.do("reset", delivery_timeout_s=TIMEOUT)
        client.do("subscribe", uri=listener.uri)
        client.do("emit", events=[LINE])
        first = begin(server, "advance", seconds=1)
        answers.wait()
        begin(server, "advance", seconds=1000).close()
        client.post("wait_for_extension", name="nobody", timeout=0.3)  # the server looks at its connections meanwhile
        answers.let_go()
        assert first.recv(15) == b"HTTP/1.1 200 OK"
        client.do("advance", ms=0)
        assert client.read("elapsed") == 1.0
        first.close()


def test_a_reset_ends_every_call_and_begins_anew(client: Client, beside: Callable[..., "Future[Answer]"]) -> None:
    api = client.read("runtime_api")
    with held() as (answers, listener):
        client.do("reset", delivery_timeout_s=1000)
        client.do("subscribe", uri=listener.uri)
        client.do("backend")
        client.do("emit", events=[LINE])
        calls = [beside("advance", seconds=1)]
        answers.wait()
        calls += [beside("advance", seconds=1), beside("wait_for_extension", name="x", timeout=1000)]
        client.post("wait_for_extension", name="y", timeout=0.1)  # they have arrived by then
        begun = client.do("reset", function_name="another")
        assert begun["runtime_api"] == client.read("runtime_api") == api
        assert begun["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "another"
        for one in calls:
            assert one.result(TIMEOUT).refused(503, "unavailable").startswith("this call was cut short: ")
    assert client.read("subscriptions") == client.read("deliveries") == client.read("backend") == []
    assert client.read("elapsed") == 0.0
    client.do("end_init")


def test_what_is_open_at_a_reset_is_put_in_order(client: Client) -> None:
    identifier = client.do("invocation")["id"]
    client.do("expect_rejection", timeout=1000)
    assert client.do("reset")["violations"] is None
    assert client.delete(f"invocation/{identifier}").status == 404
    assert client.do("invocation")["id"]


def test_wrong_settings_leave_the_environment_as_it_is(client: Client) -> None:
    client.do("register", name="mine")
    assert (
        client.post("reset", memory=1).refused(400, "misuse").startswith("there is no setting 'memory'; did you mean")
    )
    assert client.post("reset", retry={"attempts": 0}).refused(400, "misuse").startswith("Retry.attempts=0")
    assert client.post("reset", clock="freezegun").refused(400, "misuse").startswith("clock='freezegun' is not valid")
    assert [one["name"] for one in client.read("extensions")] == ["mine"]


def test_the_end_tells_what_the_extension_did_wrong(client: Client) -> None:
    api = client.read("runtime_api")
    register("mine", api=api)
    call("PUT", "/2022-07-01/telemetry", {}, api=api)
    assert "Lambda-Extension-Identifier" in client.post("end").refused(409, "violation")
    assert client.do("end") is None
    assert len(client.read("requests")) == 2
    closed = client.post("emit", events=[LINE]).refused(400, "misuse")
    assert closed == "this environment is closed: its test is over; what it recorded can still be read"
    call("PUT", "/2022-07-01/telemetry", {}, api=api)
    assert client.do("reset")["violations"] is None

    register("mine", api=api)
    call("PUT", "/2022-07-01/telemetry", {}, api=api)
    assert "Lambda-Extension-Identifier" in client.do("reset")["violations"]


def test_close_is_the_members(client: Client) -> None:
    client.do("invocation")
    assert client.do("close") is None
    assert client.post("advance", ms=1).status == 400
    assert client.do("end") is None


def test_eight_clients_at_once(server: Running, client: Client) -> None:
    with Listener() as listener:
        client.do("subscribe", uri=listener.uri, buffering={"maxItems": 1000})
        client.do("backend")

        def work(number: int) -> set[int]:
            seen: set[int] = set()
            with server.client() as own:
                for turn in range(25):
                    line = {"type": "function", "record": f"client {number} line {turn:02}"}
                    seen.add(own.post("emit", events=[line]).status)
                    seen.add(own.post("advance", ms=turn).status)
                    seen.add(own.get(("now", "deliveries", "timeline", "ledger", "journal")[turn % 5]).status)
                    seen.add(own.post("wait_for_extension", timeout=0).status)
                    seen.add(own.request("POST", "/v1/advance", b"{", JSON).status)
            return seen

        with ThreadPoolExecutor(8) as pool:
            assert set().union(*pool.map(work, range(8))) == {200, 400}
        client.do("flush")
        records = client.read("records")
    assert len(records) == len(set(records)) == 200
    assert client.read("elapsed") == pytest.approx(8 * sum(range(25)) / 1000)


def test_the_next_reset_cures_whatever_eight_clients_have_done_to_it() -> None:
    def work(number: int) -> tuple[set[int], set[int]]:
        chance, seen, pids = random.Random(number), set[int](), set[int]()
        with server.client() as client:
            for _ in range(40):
                name, given = chance.choice(calls)
                answer = client.post(name, **given)
                seen.add(answer.status)
                if name == "run_extension" and answer.status == 200:
                    pids.add(answer.value["pid"])
                for block in client.read("invocation"):
                    if block["open"] and chance.random() < 0.5:
                        seen.add(client.delete(f"invocation/{block['id']}").status)
        return seen, pids

    options = ("--setting", "extension_timeout_s=0.1", "--setting", "shutdown_timeout_s=0.1")
    with Listener() as listener, serving(*options) as server:
        calls: list[tuple[str, dict[str, Any]]] = [
            *[("reset", {})] * 4,
            *(
                (name, {})
                for name in ("end", "close", "shutdown", "restart", "invoke", "invocation", "flush", "backend")
            ),
            *((name, {"timeout": 0.01}) for name in ("wait_until_ready", "expect_rejection", "assert_exactly_once")),
            ("emit", {"events": [LINE]}),
            ("advance", {"seconds": 1}),
            ("subscribe", {"uri": listener.uri}),
            ("play", {"script": [{"cold_start": {}}]}),
            ("run_extension", {"argv": ["/bin/sleep", "1000"]}),
        ]
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(work, range(8)))
        assert set().union(*(seen for seen, _ in results)) <= {200, 400, 404, 408, 409, 503}
        with server.client() as client:
            client.do("reset")
            assert client.do("invoke")["status"] == "success"
            assert client.do("advance", ms=1) == []
        assert server.end()[0] == 0
    for pid in set().union(*(pids for _, pids in results)):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
