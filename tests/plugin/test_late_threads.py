"""A thread that outlives its test, and calls in a later one: what it does wrong there is not that test's fault."""

import pytest

from tests.plugin.conftest import Run

LATE = """
import threading
from concurrent.futures import ThreadPoolExecutor
go, done = threading.Event(), threading.Event()
answers = []

def late():
    try:
        go.wait(30)
        answers.append(call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "ext"}))
    finally:
        done.set()

def let_go():
    go.set()
    assert done.wait(30)

"""
STARTED = "thread 'late', which was started during test_it.py::test_a"


def test_what_a_thread_of_an_earlier_test_is_refused_is_no_violation_of_this_one(run: Run) -> None:
    result = run(
        LATE
        + f"""
def test_a(lambda_telemetry):
    threading.Thread(target=late, name="late", daemon=True).start()

def test_b(lambda_telemetry):
    lambda_telemetry.end_init()
    let_go()
    assert answers[0].status == 403
    entry, = [one for one in lambda_telemetry.journal if one.kind == "request"]
    assert entry.verdict.endswith("; by {STARTED}")
    lambda_telemetry.check()
"""
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=late, name='late', daemon=True).start()",  # its own
        "pool.submit(late)",  # of a pool that an earlier test has begun
        "lambda_telemetry.wait_until(lambda: True); go.set(); late()",  # the test's thread
    ],
)
def test_what_this_tests_threads_are_refused_is(run: Run, start: str) -> None:
    result = run(
        LATE
        + f"""
pool = ThreadPoolExecutor(1)

def test_a(lambda_telemetry):
    pool.submit(int).result()

def test_b(lambda_telemetry):
    lambda_telemetry.end_init()
    {start}
    let_go()

def test_c():
    pool.shutdown()
"""
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*Register from extension 'ext' was refused: 403 *"])


def test_a_name_that_such_a_thread_has_taken_is_told(run: Run) -> None:
    result = run(
        LATE
        + """
def test_a(lambda_telemetry):
    threading.Thread(target=late, name="late", daemon=True).start()

def test_b(lambda_telemetry):
    let_go()
    assert answers[0].status == 200
    assert call("POST", f"{EXTENSION}/register", {}, {"Lambda-Extension-Name": "ext"}).status == 403
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*Register from extension 'ext' was refused: 403 *",
            f"*  'ext' is registered already, by {STARTED}: let that test wait until it has ended.",
            f"*register*200; by {STARTED}",
        ]
    )


def test_an_extension_that_such_a_thread_has_registered_is_told_where_it_does_not_ask(run: Run) -> None:
    result = run(
        LATE
        + """
def test_a(lambda_telemetry):
    threading.Thread(target=late, name="late", daemon=True).start()

@pytest.mark.lambda_telemetry(extension_timeout_s=0.01)
def test_b(lambda_telemetry):
    let_go()
    lambda_telemetry.invoke()
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*extension-timeout: extension 'ext' did not ask for its next event*",
            f"*It was registered by {STARTED}: let that test wait until it has ended.",
        ]
    )


def test_a_thread_of_an_earlier_test_that_dies_is_no_violation_of_this_one(run: Run) -> None:
    result = run(
        LATE
        + f"""
def dies():
    go.wait(30)
    raise ValueError("late")

def test_a(lambda_telemetry):
    threading.Thread(target=dies, name="late", daemon=True).start()

@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_b(lambda_telemetry):
    thread, = [one for one in threading.enumerate() if one.name == "late"]
    go.set()
    thread.join(30)
    entry, = lambda_telemetry.journal
    assert (entry.who, entry.verdict) == ("late", {STARTED!r})
"""
    )
    result.assert_outcomes(passed=2)


def test_an_environment_of_wider_scope_knows_its_own_threads(run: Run) -> None:
    result = run(
        LATE
        + """
@pytest.fixture(scope="module")
def wide(lambda_telemetry_factory):
    with lambda_telemetry_factory() as wide:
        yield wide

def test_a(wide, lambda_telemetry):
    def own():
        go.wait(30)
        call("POST", f"{EXTENSION}/register", [], {"Lambda-Extension-Name": "ext"}, api=wide.runtime_api)
        done.set()
    threading.Thread(target=own, daemon=True).start()

def test_b(wide):
    let_go()
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*Register from extension 'ext' was refused: *"])
