"""Nothing of a test is left for the next one; what must stay, stays."""

import pytest

from tests.plugin.conftest import Run


def test_the_variables_are_there_during_the_test_and_restored_exactly(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "mars-north-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    result = run(
        """
import socket
names = ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_REGION",
         "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_DEFAULT_REGION"]
def environ():
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}

before = environ()

@pytest.fixture
def outside():
    yield
    assert environ() == before

def test_a(outside, lambda_telemetry):
    assert [os.environ[name] for name in names] == [
        lambda_telemetry.runtime_api, "test-function", "$LATEST", "us-east-1", "128", "on-demand", "us-east-1"]
    for name in ("NO_PROXY", "no_proxy"):
        own = socket.gethostbyname("sandbox")
        assert os.environ[name] == f"example.com,127.0.0.1,localhost,sandbox.localdomain,sandbox,{own}"
    assert set(os.environ) - set(before) - {"PYTEST_CURRENT_TEST"} == {*names, "no_proxy"} - {"AWS_REGION"}

def test_b(outside): pass

def test_the_users_change_is_undone_after_us(monkeypatch, lambda_telemetry):
    monkeypatch.setenv("AWS_REGION", "venus")
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API")

def test_the_users_change_is_undone_before_us(outside, lambda_telemetry, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "venus")
    monkeypatch.setenv("NO_PROXY", "x")

def test_d():
    assert environ() == before
"""
    )
    result.assert_outcomes(passed=5)


def test_an_extension_that_read_the_address_at_import_reaches_the_second_test(run: Run) -> None:
    result = run(
        """
import extension
def test_a(lambda_telemetry):
    extension.start()
    assert [one.name for one in lambda_telemetry.extensions] == ["constant"]
test_b = test_a
@pytest.mark.lambda_telemetry(region="eu-west-1")
def test_c(lambda_telemetry): test_a(lambda_telemetry)
""",
        conftest="""
import os, pytest
@pytest.fixture(autouse=True)
def load(lambda_telemetry):
    import extension
""",
        extension="""
import os
API = os.environ.get("AWS_LAMBDA_RUNTIME_API")
def start():
    global API
    API = API or os.environ["AWS_LAMBDA_RUNTIME_API"]
    from tools import register
    register("constant", api=API)
""",
    )
    result.assert_outcomes(passed=3)


def test_a_pooled_connection_of_an_earlier_test_is_made_anew(run: Run) -> None:
    result = run(
        """
import requests
session = requests.Session()

def enrol(lambda_telemetry):
    url = f"http://{lambda_telemetry.runtime_api}{EXTENSION}/register"
    answer = session.post(url, json={"events": []}, headers={"Lambda-Extension-Name": "pool"})
    assert answer.status_code == 200
    assert [one.name for one in lambda_telemetry.extensions] == ["pool"]

def test_a(lambda_telemetry): enrol(lambda_telemetry)
def test_b(lambda_telemetry): enrol(lambda_telemetry)
def test_c(lambda_telemetry):
    enrol(lambda_telemetry)
    session.close()
"""
    )
    result.assert_outcomes(passed=3)


def test_a_request_of_an_earlier_test_is_refused_and_a_stray(run: Run) -> None:
    result = run(
        """
from tools import *
old = None
def test_a(lambda_telemetry):
    global old
    old = register()

def test_b(lambda_telemetry):
    for answer in (
        subscribe(old, subscribe_body(4243)),
        call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: old}),
        call("POST", f"{EXTENSION}/init/error", {}, {IDENTIFIER: old.upper()}),
    ):
        assert answer.status == 403
        assert answer.body["errorType"] == "Extension.UnknownExtensionIdentifier"
    assert lambda_telemetry.requests == lambda_telemetry.rejections == lambda_telemetry.extensions == ()
    assert [entry.kind for entry in lambda_telemetry.journal] == ["stray"] * 3
    assert "belongs to an earlier test or environment: 403" in lambda_telemetry.timeline()
"""
    )
    result.assert_outcomes(passed=2)


def test_an_identifier_that_nobody_ever_had_is_no_stray(run: Run) -> None:
    result = run(
        """
def test_a(lambda_telemetry):
    with lambda_telemetry.expect_rejection() as one:
        subscribe("00000000-0000-4000-8000-000000000000", {})
    assert one.rejection.error_type == "Extension.UnknownExtensionIdentifier"
    assert len(lambda_telemetry.requests) == 1
"""
    )
    result.assert_outcomes(passed=1)


def test_identifiers_are_the_same_in_every_run_and_never_used_twice_in_one(run: Run) -> None:
    source = """
@pytest.mark.lambda_telemetry(extension_timeout_s=0.01, strict=False)
@pytest.mark.parametrize("number", [1, 2])
def test_a(lambda_telemetry, number):
    print("\\nID", register(), register("b"), lambda_telemetry.invoke().request_id)
def test_b():
    from pytest_lambda_telemetry import LambdaTelemetry
    for _ in range(2):
        with LambdaTelemetry():
            print("\\nID", register(), register("b"))
"""
    runs = []
    for _ in range(2):
        result = run(source, "-s", subprocess=True)
        result.assert_outcomes(passed=3)
        runs.append([line.split()[1:] for line in result.outlines if line.startswith("ID ")])
    assert runs[0] == runs[1]
    everything = [value for line in runs[0] for value in line]
    assert len(everything) == len(set(everything)) == 10


WAITING = """
import threading
@pytest.fixture
def extension(lambda_telemetry):
    answers = []
    def life():
        identifier = register("thread", EVENTS)
        answers.append(call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifier}))
    thread = threading.Thread(target=life)
    thread.start()
    lambda_telemetry.wait_until_ready("thread")
    yield answers
    thread.join(30)
    assert not thread.is_alive()
    assert answers[0].body["eventType"] == "SHUTDOWN"
    assert answers[0].body["shutdownReason"] == "spindown"
def test_a(extension): pass
def test_b(extension): assert 0
def test_c(extension, lambda_telemetry):
    lambda_telemetry.freeze()
def test_d(extension): pytest.skip("now")
"""


@pytest.mark.parametrize("events", [("INVOKE", "SHUTDOWN"), ("INVOKE",), ()])
def test_an_extension_that_waits_gets_shutdown_before_any_finalizer(run: Run, events: tuple[str, ...]) -> None:
    result = run(WAITING.replace("EVENTS", repr(events)))
    result.assert_outcomes(passed=2, failed=1, skipped=1)


@pytest.mark.parametrize("events", [("INVOKE", "SHUTDOWN"), ("INVOKE",)])
@pytest.mark.parametrize("body", ["pass", "lambda_telemetry.shutdown()"])
def test_an_extension_that_asks_on_after_shutdown_is_cut_off(run: Run, events: tuple[str, ...], body: str) -> None:
    result = run(
        f"""
import threading
@pytest.fixture
def extension(lambda_telemetry):
    def life():
        identifier = register("thread", {events!r})
        with pytest.raises(ConnectionError):
            while True:
                call("GET", f"{{EXTENSION}}/event/next", None, {{IDENTIFIER: identifier}}, timeout=30)
    thread = threading.Thread(target=life)
    thread.start()
    lambda_telemetry.wait_until_ready("thread")
    yield
    thread.join(30)
    assert not thread.is_alive()
def test_a(extension, lambda_telemetry): {body}
"""
    )
    result.assert_outcomes(passed=1)


def test_an_extension_nobody_waits_for_is_let_go_without_warnings(run: Run) -> None:
    result = run(
        """
import threading
before = set(threading.enumerate())
@pytest.mark.parametrize("number", range(3))
def test_a(lambda_telemetry, number):
    def life():
        identifier = register("thread")
        while call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifier}).body["eventType"] != "SHUTDOWN":
            pass
    threading.Thread(target=life, name="life").start()
    lambda_telemetry.wait_until_ready()

def test_b():
    for thread in threading.enumerate():
        if thread.name == "life":
            thread.join(30)
    assert {one.name for one in set(threading.enumerate()) - before} <= {"lambda-telemetry-server"}
"""
    )
    result.assert_outcomes(passed=4)


def test_what_was_recorded_can_be_read_afterwards_and_nothing_else_works(run: Run) -> None:
    result = run(
        """
from pytest_lambda_telemetry import MisuseError, Script, events
kept = []
def test_a(lambda_telemetry, async_lambda_telemetry):
    with Listener() as listener:
        identifier = register()
        subscribe(identifier, subscribe_body(listener.port))
        with lambda_telemetry.expect_rejection():
            subscribe(identifier, {})
        lambda_telemetry.emit(events.function("x"))
        lambda_telemetry.flush()
    kept.extend([lambda_telemetry, async_lambda_telemetry])

def test_b():
    for old in kept:
        assert len(old.requests) == 3 and len(old.subscriptions) == len(old.rejections) == len(old.deliveries) == 1
        assert old.deliveries[0].events[-1]["record"] == "x"
        assert old.extensions[0].name == "ext"
        assert old.runtime_api and old.env["AWS_LAMBDA_RUNTIME_API"] == old.runtime_api
        assert old.now and old.elapsed.total_seconds() == 0
        assert "SHUTDOWN (spindown)" in old.timeline() and old.journal
        old.assert_subscribed(), old.assert_delivered(old.deliveries[0].types)
    old = kept[0]
    assert old.shutdown() == ()
    old.close()
    for call in (
        lambda: old.emit(), lambda: old.push([events.function("x")]), lambda: old.advance(ms=1), lambda: old.flush(),
        lambda: old.play(Script([])), lambda: old.invoke(), lambda: old.invocation().__enter__(),
        lambda: old.end_init(), lambda: old.freeze(), lambda: old.thaw(), lambda: old.register(), lambda: old.subscribe("http://127.0.0.1:1"),
        lambda: old.wait_for_extension(), lambda: old.wait_for_subscription(), lambda: old.wait_until_ready(),
        lambda: old.wait_until(lambda: True), lambda: old.check(), lambda: old.expect_rejection().__enter__(),
        lambda: old.fail_next_delivery("refuse"), lambda: old.reject_next("next"), lambda: old.run_extension(["x"]),
        lambda: old.__enter__(),
    ):
        with pytest.raises(MisuseError, match="this environment is closed: its test is over; what it recorded can"):
            call()
"""
    )
    result.assert_outcomes(passed=2)


CYCLES = """
import importlib.util, socket, ssl, tempfile, threading
from pathlib import Path
state = {}
TLS = importlib.util.find_spec("trustme") is not None

def send_to(backend, hold=False):
    if hold:
        backend.hold()
    with socket.create_connection((backend.host, backend.port), timeout=30) as client:
        if backend.ca_file:
            context = ssl.create_default_context(cafile=backend.ca_file)
            client = context.wrap_socket(client, server_hostname="localhost")
        client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        backend.wait_for(timeout=30)
        if backend.ca_file:
            client.close()

def files():
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

def everything():
    return {
        "threads": sorted(  # Trio's and AnyIO's idle workers end by themselves
            one.name for one in threading.enumerate() if not one.name.startswith(("Trio", "AnyIO"))
        ),
        "variables": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "names": [vars(socket).get(name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "socket")],
        "folders": sorted(Path(tempfile.gettempdir()).glob(f"pytest-lambda-telemetry-{os.getpid()}-*")),
        "methods": [vars(socket.socket).get(name) for name in ("bind", "connect", "connect_ex")],
    }

@pytest.mark.parametrize("number", range(1000))
def test_cycle(lambda_telemetry, number):
    if number % 100 == 0:
        subscribe(register(), subscribe_body(4243))
    if number % 10 == 0:
        send_to(lambda_telemetry.backend(), hold=number % 50 == 0)
    if number % 250 == 0 and TLS:
        send_to(lambda_telemetry.backend("tls", tls=True))

@pytest.fixture(autouse=True)
def outermost(request):
    yield
    number = request.node.callspec.params["number"]
    if number in (0, 999):
        state[number] = everything()
        state["files"] = state.get("files", files())
        assert state[0] == state[number]
        assert files() <= state["files"]  # an earlier test's may have gone meanwhile
"""


def test_a_thousand_tests_leave_nothing(run: Run) -> None:
    run(CYCLES, "-q").assert_outcomes(passed=1000)


GROWTH = """
import collections, gc, tracemalloc
from pytest_lambda_telemetry import events

seen = {}

def ours():
    for _ in range(3):
        gc.collect()
    kinds = collections.Counter(
        f"{type(one).__module__}.{type(one).__qualname__}"
        for one in gc.get_objects()
        if str(type(one).__module__).startswith("pytest_lambda_telemetry")
    )
    traced = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*pytest_lambda_telemetry*")])
    return kinds, sum(one.size for one in traced.statistics("filename"))

@pytest.mark.parametrize("number", range(300))
@pytest.mark.lambda_telemetry(strict=False, platform_events=False)
def test_cycle(lambda_telemetry, lambda_telemetry_factory, number):
    subscribe(register(), subscribe_body(4243))
    lambda_telemetry.emit(events.function("x" * 1000))
    with lambda_telemetry_factory(region="eu-west-1") as another:
        another.register()

@pytest.fixture(autouse=True)
def outermost(request):
    number = request.node.callspec.params["number"]
    if number == 0:
        tracemalloc.start()
    yield
    if number in (99, 299):
        seen[number] = ours()
    if number == 299:
        tracemalloc.stop()
        (before, bytes_before), (after, bytes_after) = seen[99], seen[299]
        assert max((after - before).values(), default=0) < 20, after - before  # connections that are ending
        assert (bytes_after - bytes_before) / 200 < 2_000
"""


def test_what_is_ours_does_not_grow_with_the_number_of_tests(run: Run) -> None:
    run(GROWTH, "-q").assert_outcomes(passed=300)


def test_xdist_gives_each_worker_an_address_of_its_own(run: Run) -> None:
    pytest.importorskip("xdist", reason="it is about pytest-xdist")
    result = run(
        """
@pytest.mark.parametrize("number", range(6))
def test_a(lambda_telemetry, number):
    assert subscribe(register(), subscribe_body(4243)).status == 200

def test_b(lambda_telemetry):
    refused()
""",
        *("-n", "2", "-p", "xdist.plugin"),
        subprocess=True,
    )
    result.assert_outcomes(passed=7, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_b*", "E *ProtocolViolation: *", "*- AWS Lambda telemetry -*"]
    )
