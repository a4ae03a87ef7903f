"""What a backend answers: 200, or what the test says; and what it does wrong on demand."""

import gzip
import json
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry import Backend, LambdaTelemetry, LambdaTelemetryWarning, MisuseError, Settings
from pytest_lambda_telemetry.backend.faults import FAULTS
from tests.support.clients import ask, connect, connection, exchange, post
from tests.support.wrong import mistake, variations

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
BROKEN_OFF = (ConnectionError, HTTPException)


def test_the_latest_answer_that_matches_wins_and_times_uses_it_up(backend: Backend) -> None:
    backend.respond(202)
    backend.respond(503, path="/a")
    backend.respond(429, path="/a", times=2)
    backend.respond(404, method="get")
    with connection(backend) as made:
        assert [ask(made, "/a")[0] for _ in range(3)] == [429, 429, 503]
        assert ask(made, "/b?to=/a")[0] == 202
        made.request("GET", "/a")
        assert made.getresponse().status == 404
    assert [one.status for one in backend.requests] == [429, 429, 503, 202, 404]


def test_an_answer_has_the_body_and_the_headers_it_was_given(backend: Backend) -> None:
    backend.respond(207, json={"status": ["ok", "é"]}, headers={"Retry-After": "3"}, path="/json")
    backend.respond(body="text é", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], path="/text")
    backend.respond(body=b"\x00\xff", path="/bytes")
    backend.respond(json=[], headers={"content-type": "application/x-ndjson", "Connection": "close"}, path="/own")
    backend.respond(204, path="/none")
    assert exchange(backend, POST.replace(b"/ ", b"/json ", 1)) == (
        b"HTTP/1.1 207 Multi-Status\r\nContent-Type: application/json\r\nContent-Length: 22\r\nRetry-After: 3\r\n\r\n"
        b'{"status":["ok","\xc3\xa9"]}'
    )
    assert exchange(backend, POST.replace(b"/ ", b"/text ", 1)) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n"
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\ntext \xc3\xa9"
    )
    assert exchange(backend, POST.replace(b"/ ", b"/bytes ", 1)) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x00\xff"
    )
    assert exchange(backend, POST.replace(b"/ ", b"/own ", 1), end=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-type: application/x-ndjson\r\nConnection: close\r\n\r\n[]"
    )
    assert exchange(backend, POST.replace(b"/ ", b"/none ", 1)) == b"HTTP/1.1 204 No Content\r\n\r\n"
    with connection(backend) as made:
        made.request("HEAD", "/text")
        answer = made.getresponse()
        assert (answer.headers["Content-Length"], answer.read()) == ("7", b"")


def test_a_body_is_what_is_behind_its_content_encoding(backend: Backend) -> None:
    packed = gzip.compress(b'{"a": 1}')
    assert post(backend, body=packed, Content_Encoding="gzip")[0] == 200
    (request,) = backend.requests
    assert (request.raw, request.body, request.json) == (packed, b'{"a": 1}', {"a": 1})


def test_a_broken_encoding_is_answered_400_recorded_and_uses_nothing_up(
    lambda_telemetry: LambdaTelemetry, backend: Backend
) -> None:
    backend.respond(201, times=1)
    backend.fail_next(503)
    status, text = post(backend, body=b"nope", Content_Encoding="gzip")
    assert status == 400
    assert text == b"the body is no valid gzip: Error -3 while decompressing data: incorrect header check\n"
    assert [(one.status, one.raw, one.body) for one in backend.requests] == [(400, b"nope", b"nope")]
    assert text.decode().strip() in lambda_telemetry.timeline()
    assert [post(backend)[0] for _ in range(3)] == [503, 201, 200]


def test_the_table_of_the_readme_is_this_one() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    rows = [f"| `{json.dumps(fault)}` | {seen} |" for fault, seen in FAULTS.items()]
    assert "\n".join(["| `fail_next(…)` | what the client gets |", "|---|---|", *rows]) in readme


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_status_is_answered_so_often_and_then_no_more(backend: Backend) -> None:
    backend.respond(201)
    backend.fail_next(503, times=2)
    backend.fail_next(429, path="/a")
    assert [post(backend, "/a")[0] for _ in range(4)] == [503, 503, 429, 201]
    assert [one.status for one in backend.requests] == [503, 503, 429, 201]


def test_a_fault_of_one_path_leaves_the_others_alone(backend: Backend) -> None:
    backend.fail_next("reset", path="/a")
    assert post(backend, "/b?x=/a")[0] == 200
    with pytest.raises(ConnectionError):
        post(backend, "/a?x=1")
    assert post(backend, "/a")[0] == 200


def test_refuse_resets_the_connection_and_nothing_is_seen(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    backend.fail_next("refuse", times=2)
    for _ in range(2):
        with pytest.raises(BROKEN_OFF):
            post(backend)
    assert post(backend)[0] == 200
    assert len(backend.requests) == 1
    assert [entry.what for entry in lambda_telemetry.journal][:2] == ["a connection", "a connection"]


def test_refuse_reaches_a_connection_that_was_open_before(backend: Backend) -> None:
    with connection(backend) as made:
        assert ask(made, "/first")[0] == 200
        backend.fail_next("refuse")
        with pytest.raises(ConnectionResetError):
            ask(made, "/second")
    assert post(backend, "/third")[0] == 200
    assert [one.path for one in backend.requests] == ["/first", "/third"]


def test_reset_is_seen_and_not_answered(backend: Backend) -> None:
    backend.fail_next("reset")
    with pytest.raises(ConnectionResetError):
        post(backend, body=b"all of it")
    assert [(one.raw, one.status) for one in backend.requests] == [(b"all of it", None)]


def test_timeout_is_held_until_the_client_gives_up(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    backend.fail_next("timeout")
    with connect(backend) as sock:
        sock.sendall(POST)
        (request,) = backend.wait_for(timeout=30)
        assert request.status is None
    lambda_telemetry.wait_until(lambda: len(lambda_telemetry.journal) == 2, timeout=30)
    assert [(entry.what, entry.verdict) for entry in lambda_telemetry.journal] == [
        ("#1 POST / (4 bytes)", "waits for its answer (fail_next: timeout)"),
        ("#1 POST /, after a wait", "no answer: the client gave up"),
    ]
    assert backend.requests[0].status is None
    assert post(backend)[0] == 200


def test_timeout_is_answered_when_it_is_released(backend: Backend) -> None:
    backend.fail_next("timeout")
    with connect(backend) as sock:
        sock.sendall(POST)
        backend.wait_for(timeout=30)
        assert post(backend)[0] == 200
        backend.release()
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert [one.status for one in backend.requests] == [200, 200]


def test_slow_is_answered_late(backend: Backend) -> None:
    backend.fail_next("slow", delay_ms=300)
    with connect(backend) as sock:
        sock.sendall(POST)
        backend.wait_for(timeout=30)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(30)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert [one.status for one in backend.requests] == [200]


@pytest.mark.parametrize("body", [b"", b"x", b"a longer answer"])
def test_truncate_announces_more_than_it_sends(backend: Backend, body: bytes) -> None:
    backend.respond(201, body=body)
    backend.fail_next("truncate")
    head, _, sent = exchange(backend, POST, end=False).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert body.startswith(sent)
    assert int(head.partition(b"Content-Length: ")[2].split()[0]) > len(sent)
    assert [one.status for one in backend.requests] == [201]
    assert post(backend) == (201, body)


def test_truncate_of_an_answer_without_a_body_is_a_reset(backend: Backend) -> None:
    backend.respond(204)
    backend.fail_next("truncate")
    with pytest.raises(ConnectionResetError):
        post(backend)
    assert [one.status for one in backend.requests] == [None]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_does_what_it_is_named_for(backend: Backend, fault: Any) -> None:
    backend.fail_next(fault, delay_ms=1 if fault in ("slow", "hang") else None)
    try:
        with connect(backend) as sock:
            sock.settimeout(0.5 if fault == "timeout" else 30)
            sock.sendall(POST)
            outcome: object = sock.recv(100)[:15]
    except ConnectionError:  # where a refusal is noticed depends on who is faster
        outcome = ConnectionError
    except TimeoutError:
        outcome = TimeoutError
    assert (
        outcome
        == {
            503: b"HTTP/1.1 503 Se",
            "refuse": ConnectionError,
            "reset": ConnectionError,
            "timeout": TimeoutError,
            "slow": b"HTTP/1.1 200 OK",
            "hang": ConnectionError,
            "truncate": b"HTTP/1.1 200 OK",
        }[fault]
    )


def test_a_fault_says_in_the_timeline_that_the_test_asked_for_it(
    lambda_telemetry: LambdaTelemetry, backend: Backend
) -> None:
    backend.fail_next(503)
    backend.fail_next("reset")
    backend.fail_next("slow", delay_ms=1)
    post(backend)
    with pytest.raises(ConnectionError):
        post(backend)
    post(backend)
    assert [entry.verdict for entry in lambda_telemetry.journal] == [
        "503 (fail_next: 503)",
        "no answer (fail_next: reset)",
        "waits for its answer (fail_next: slow)",
        "200",
    ]
    lambda_telemetry.check()  # what a backend answers is no mistake of the extension


# -- hold, release, reset ----------------------------------------------------------------------------------------------


def test_held_requests_wait_and_are_answered_as_the_test_says_by_then(backend: Backend) -> None:
    backend.hold()
    with connect(backend) as one, connect(backend) as other:
        one.sendall(POST)
        other.sendall(POST)
        assert [request.status for request in backend.wait_for(2, timeout=30)] == [None, None]
        one.settimeout(0.05)
        with pytest.raises(TimeoutError):
            one.recv(100)
        one.settimeout(30)
        backend.respond(503)
        backend.release()
        assert one.recv(100).startswith(b"HTTP/1.1 503 ")
        assert other.recv(100).startswith(b"HTTP/1.1 503 ")
    assert [request.status for request in backend.requests] == [503, 503]
    assert post(backend)[0] == 503


def test_release_without_hold_does_nothing_and_hold_twice_is_one(backend: Backend) -> None:
    backend.release()
    backend.hold()
    backend.hold()
    backend.release()
    assert post(backend)[0] == 200


def test_a_fault_of_a_held_request_comes_when_it_is_released(backend: Backend) -> None:
    backend.hold()
    backend.fail_next("reset")
    with connect(backend) as sock:
        sock.sendall(POST)
        backend.wait_for(timeout=30)
        backend.release()
        with pytest.raises(ConnectionResetError):
            sock.recv(100)
    assert [request.status for request in backend.requests] == [None]


def test_reset_begins_anew(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    post(backend)
    backend.respond(500)
    backend.fail_next(503, times=10)
    backend.fail_next("refuse")
    backend.hold()
    other = lambda_telemetry.backend("other")
    other.fail_next(503)
    backend.reset()
    assert backend.requests == ()
    assert repr(backend) == f"<Backend 'backend' {backend.url} requests=0>"
    assert post(backend)[0] == 200
    assert len(backend.wait_for()) == 1
    assert post(other)[0] == 503
    assert [entry.what for entry in lambda_telemetry.journal if entry.who == "backend"] == [
        "#1 POST / (1 bytes)",
        "begins anew",
        "#2 POST / (1 bytes)",
    ]


def test_reset_answers_what_was_held(backend: Backend) -> None:
    backend.hold()
    with connect(backend) as sock:
        sock.sendall(POST)
        backend.wait_for(timeout=30)
        backend.reset()
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert backend.requests == ()


# -- mistakes ----------------------------------------------------------------------------------------------------------


class Unsendable:
    def __repr__(self) -> str:
        return "<object object>"


OBJECT = Unsendable()

MISTAKES: dict[str, Callable[[Backend], object]] = {
    "status=199 is not valid: it must be a status from 200 to 599": lambda one: one.respond(199),
    "respond() takes json= or body=, one of the two": lambda one: one.respond(json=1, body=b"x"),
    "json=<object object> is not valid: it must be a value that JSON has": lambda one: one.respond(json=OBJECT),
    "body=3 is not valid: it must be bytes, or a str, which is sent as UTF-8": lambda one: one.respond(body=3),  # type: ignore[arg-type]  # must fail
    "an answer with status=204 has no body; leave json= and body= out": lambda one: one.respond(204, body="x"),
    "path='logs' is not valid: it must be a path without a query, such as '/v1/logs'": lambda one: one.respond(
        path="logs"
    ),
    "path='/a?b' is not valid: it must be a path without a query, such as '/v1/logs'": lambda one: one.fail_next(
        503, path="/a?b"
    ),
    "times=0 is not valid: it must be a whole number, 1 or more": lambda one: one.respond(times=0),
    "headers has 'a': 'b\\r\\nc', which cannot be sent as a header line; use printable characters of Latin-1": (
        lambda one: one.respond(headers={"a": "b\r\nc"})
    ),
    "headers has 'Content-Length', which is made from the body; leave it out": lambda one: one.respond(
        headers={"Content-Length": "3"}
    ),
    "'refused' is no fault of a backend; use one of 'refuse', 'reset', 'timeout', 'slow', 'hang', 'truncate', or a"
    " status 400-599": lambda one: one.fail_next("refused"),  # type: ignore[arg-type]  # must fail
    "200 is no fault of a backend; use one of 'refuse', 'reset', 'timeout', 'slow', 'hang', 'truncate', or a status"
    " 400-599": (lambda one: one.fail_next(200)),
    "delay_ms=5 with 'reset': it goes with 'slow' and 'hang' only": lambda one: one.fail_next("reset", delay_ms=5),
    "delay_ms=-1 is not valid: it must be a number, 0 or more": lambda one: one.fail_next("slow", delay_ms=-1),
    "path='/a' with 'refuse': a connection has no path; leave it out": lambda one: one.fail_next("refuse", path="/a"),
    "count=0 is not valid: it must be a whole number, 1 or more": lambda one: one.wait_for(0),
    "drop_idle_on_freeze='no' is not valid: it must be True or False": lambda one: setattr(
        one, "drop_idle_on_freeze", "no"
    ),
}


@pytest.mark.parametrize("told", MISTAKES)
def test_a_mistake_is_told(backend: Backend, told: str) -> None:
    with pytest.raises(MisuseError) as caught:
        MISTAKES[told](backend)
    assert str(caught.value) == told
    assert post(backend)[0] == 200


@pytest.mark.parametrize("name", ["respond", "fail_next", "wait_for"])
def test_every_argument_of_a_wrong_kind_is_a_mistake_and_nothing_is_broken_by_it(backend: Backend, name: str) -> None:
    valid: dict[str, dict[str, Any]] = {"fail_next": {"fault": "slow"}, "wait_for": {"timeout": 0}}
    post(backend)
    for _, _, args, kwargs in variations(getattr(Backend, name), valid.get(name, {}), {}):
        if kwargs.get("timeout", 0) == 0:
            mistake(getattr(backend, name), *args, **kwargs, others=(TimeoutError,))
    backend.reset()
    assert post(backend)[0] == 200


def test_a_fault_that_no_request_met_is_a_warning() -> None:
    environment = LambdaTelemetry(Settings()).__enter__()
    backend = environment.backend()
    backend.respond(500, path="/used")  # an answer may wait for what never comes
    backend.fail_next("slow", 3, "/a", delay_ms=5)
    backend.fail_next(503, path="/used")
    post(backend, "/used")
    post(backend, "/used")
    with pytest.warns(LambdaTelemetryWarning) as told:
        environment.__exit__(None, None)
    assert [(str(one.message), one.filename) for one in told] == [
        (
            "backend 'backend': fail_next('slow', path='/a', delay_ms=5, times=3) was never used: no request to /a came"
            " after it. Ask for it ahead of what it is meant for, or leave it out",
            __file__,
        )
    ]
