"""Bugs of forwarders, as rows: what each meets, who lives through that soundly, and how the bug is caught."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lambda_telemetry import Backend, LambdaTelemetry, Settings, events
from tests.field import forwarders as f
from tests.support.programs import program

Situation = Callable[[LambdaTelemetry, Backend], object]
Made = type[f.Forwarder] | str
"""A forwarder in a thread of this process, or the text of a program."""

SETTINGS = Settings(
    extension_timeout_s=20.0, delivery_timeout_s=20.0, shutdown_timeout_s=20.0, start="2026-01-01T00:00:00Z"
)

# How a bug is caught.
NOTHING = "no assertion at all"
ALONE = "`assert_exactly_once()`"
NOT = "not caught"

# -- situations: the function's logs, and what goes wrong --------------------------------------------------------------


def nothing(environment: LambdaTelemetry, _backend: Backend) -> None:
    """nothing"""
    environment.invoke(logs=environment.log_lines(2))
    environment.invoke(logs=environment.log_lines(2))


def backend_answers_503(environment: LambdaTelemetry, backend: Backend) -> None:
    """`backend.fail_next(503)`"""
    backend.fail_next(503)
    nothing(environment, backend)


def backend_loses_its_answer(environment: LambdaTelemetry, backend: Backend) -> None:
    """`backend.fail_next("truncate")`"""
    backend.fail_next("truncate")
    nothing(environment, backend)


def backend_refuses_a_batch(environment: LambdaTelemetry, backend: Backend) -> None:
    """`backend.respond(422, path="/v1/logs")`"""
    backend.respond(422, path=f.LOGS)
    environment.invoke(logs=environment.log_lines(2))


def backend_takes_one_path(environment: LambdaTelemetry, backend: Backend) -> None:
    """`backend.respond(404)`, but for `/v1/logs`"""
    backend.respond(404)
    backend.respond(200, path=f.LOGS)
    nothing(environment, backend)


def listener_loses_its_answer(environment: LambdaTelemetry, backend: Backend) -> None:
    """`fail_next_delivery("lost-answer")`"""
    environment.fail_next_delivery("lost-answer")
    nothing(environment, backend)


def batch_comes_twice(environment: LambdaTelemetry, backend: Backend) -> None:
    """`fail_next_delivery("duplicate")`"""
    environment.fail_next_delivery("duplicate")
    nothing(environment, backend)


def the_same_line_twice(environment: LambdaTelemetry, _backend: Backend) -> None:
    """the same line in two invocations"""
    environment.invoke(logs=["cache miss"])
    environment.invoke(logs=["cache miss"])


def records(words: str, *given: Any) -> Situation:
    """One invocation that logs these: any JSON values."""

    def situation(environment: LambdaTelemetry, _backend: Backend) -> None:
        environment.invoke(logs=[events.function(record) for record in given])

    situation.__doc__ = words
    return situation


# -- programs ----------------------------------------------------------------------------------------------------------

CHILD = '''
def send(batch):
    """Until the backend has it."""
    while batch:
        connection = HTTPConnection(os.environ["BACKEND"])
        connection.request("POST", "/v1/logs", json.dumps(batch))
        if connection.getresponse().status == 200:
            return

me = register("ext.py")
kept = []
{body}
'''
ENDS_WITH_A_REST = "subscribe(me, serve(kept.extend), ['function']); until_shutdown(me)"
SENDS_ITS_REST = f"{ENDS_WITH_A_REST}; send(kept)"
CRASHES = """
def on_event(event):
    if kept:
        os._exit(1)

subscribe(me, serve(kept.extend), ['function'])
until_shutdown(me, on_event)
"""
STORES_FIRST = "subscribe(me, serve(send), ['function']); until_shutdown(me)"
FLUSHES_BY_TIMER = """
def on_batch(batch):
    timer = threading.Timer(3600, lambda: send(kept))
    timer.daemon = True
    timer.start()
    kept.extend(batch)

subscribe(me, serve(on_batch), ['function'])
until_shutdown(me)
"""
FLUSHES_AT_EACH_EVENT = """
def on_event(event):
    send([kept.pop(0) for _ in range(len(kept))])

subscribe(me, serve(kept.extend), ['function'])
until_shutdown(me, on_event)
"""
ANSWERS_AND_THEN_SENDS = """
threads = []

def on_batch(batch):
    threads.append(threading.Thread(target=late, args=(batch,), daemon=True))
    threads[-1].start()

def late(batch):
    ending.wait()
    send(batch)

ending = threading.Event()
subscribe(me, serve(on_batch), ['function'])
until_shutdown(me)
"""
ANSWERS_AND_WAITS_FOR_WHAT_IT_SENDS = f"""{ANSWERS_AND_THEN_SENDS}
ending.set()
for thread in threads:
    thread.join()
"""

# -- rows --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Bug:
    """What has a bug, and its sound twin, in one situation; `asked` is what the assertion is called with.

    `caught`: by NOTHING, then the test fails although it asserts nothing; ALONE, by the assertion; or NOT. `says` is
    how the message begins: up to the first record.
    """

    name: str
    made: Made
    twin: Made = f.Forwarder
    meets: Situation = nothing
    caught: str = ALONE
    says: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""
    """What there is to say of how it is caught, right behind that."""


def lost(count: int, of: int) -> tuple[str, ...]:
    """How it begins where records were acknowledged, and never arrived."""
    sums = (
        f"not exactly once: of {_records(of)} {of - count} arrived once, {count} {'is' if count == 1 else 'are'} lost"
    )
    return (sums, f"  acknowledged by the listener, and never seen at the backend ({_records(count)}):")


def doubled(count: int, of: int) -> tuple[str, ...]:
    """How it begins where several records arrived more than once."""
    sums = f"not exactly once: of {_records(of)} {of - count} arrived once, {count} are doubled"
    return (sums, f"  seen more than once ({_records(count)}):")


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


MIXED = records(
    "records that are objects", {"message": "sold out", "level": "WARN"}, {"count": 3, "level": "INFO"}, "a plain line"
)
TRACEBACK = records("a record of three lines", "Traceback:\n  in handler\nKeyError\n")

BUGS = [
    Bug(name="the last batch is lost at SHUTDOWN", made=ENDS_WITH_A_REST, twin=SENDS_ITS_REST, says=lost(4, of=4)),
    Bug(
        name="a batch is acknowledged before it is sent, and the process ends",
        made=ANSWERS_AND_THEN_SENDS,
        twin=ANSWERS_AND_WAITS_FOR_WHAT_IT_SENDS,
        says=lost(4, of=4),
    ),
    Bug(
        name="a batch is acknowledged before it is stored, and the process crashes",
        made=CRASHES,
        twin=STORES_FIRST,
        caught=NOTHING,
        says=("Extension.Crash: the process of extension 'ext.py' ended by itself with exit code 1; its last output:",),
    ),
    Bug(
        name="its buffer is sent by a timer, which does not run while frozen",
        made=FLUSHES_BY_TIMER,
        twin=FLUSHES_AT_EACH_EVENT,
        says=lost(4, of=4),
    ),
    Bug(
        name="its buffer is sent when it is full, and never else",
        made=f.SendsFullBuffersOnly,
        twin=f.Buffered,
        says=lost(1, of=4),
    ),
    Bug(
        name="its buffer is emptied before the backend has taken it",
        made=f.EmptiesItsBufferBeforeItIsStored,
        twin=f.Buffered,
        meets=backend_answers_503,
        says=lost(3, of=4),
    ),
    Bug(
        name="what was sent stays in its buffer, and goes with the next batch too",
        made=f.KeepsWhatItHasSent,
        twin=f.Buffered,
        says=doubled(4, of=4),
    ),
    Bug(
        name="a batch that the backend answers 503 is dropped",
        made=f.DropsWhatIsRefused,
        meets=backend_answers_503,
        says=lost(2, of=4),
    ),
    Bug(
        name="nothing is sent any more after the first error",
        made=f.StopsAfterTheFirstError,
        meets=backend_answers_503,
        says=lost(4, of=4),
    ),
    Bug(
        name="the thread that sends dies of the first error",
        made=f.SendsInAThreadThatDies,
        meets=backend_answers_503,
        caught=NOTHING,
        says=("thread 'sender' of this process died: RuntimeError: the backend answered 503",),
    ),
    Bug(
        name="a batch whose answer was lost is sent to the backend again, as a new one",
        made=f.RetriesWithoutIdempotence,
        meets=backend_loses_its_answer,
        says=doubled(2, of=4),
    ),
    Bug(name="every request has the same Idempotency-Key", made=f.UsesOneKeyForAll, says=lost(2, of=4)),
    Bug(
        name="what the backend refuses with a 4xx is tried for ever",
        made=f.RetriesARefusalForEver,
        meets=backend_refuses_a_batch,
        caught=NOTHING,
        says=(
            "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 503 to the same batch 7 times,"
            " and never acknowledged it: [function ×2].",
        ),
    ),
    Bug(name="a connection that is dead after a thaw costs a batch", made=f.IgnoresADeadConnection, says=lost(2, of=4)),
    Bug(
        name="batches go to a path that the backend does not have",
        made=f.SendsToAnotherPath,
        meets=backend_takes_one_path,
        says=lost(4, of=4),
    ),
    Bug(
        name="a body that is said to be gzip is not", made=f.SaysGzipAndSendsPlain, twin=f.SendsGzip, says=lost(4, of=4)
    ),
    Bug(name="a gzip body breaks off", made=f.SendsHalfOfItsGzip, twin=f.SendsGzip, says=lost(4, of=4)),
    Bug(
        name="a batch that comes again because its answer was lost is taken for a new one",
        made=f.TakesWhatComesAgainForNew,
        meets=listener_loses_its_answer,
        says=doubled(2, of=4),
    ),
    Bug(
        name="a batch that comes twice is taken for a new one",
        made=f.TakesWhatComesAgainForNew,
        meets=batch_comes_twice,
        says=doubled(2, of=4),
    ),
    Bug(
        name="a line that was logged before is taken for the same record, and dropped",
        made=f.KnowsRecordsByTheirText,
        meets=the_same_line_twice,
        asked={"key": lambda event: event["time"]},
        remark=' with `key=lambda event: event["time"]`',
        says=lost(1, of=2),
    ),
    Bug(name="only the first event of a batch is sent", made=f.SendsTheFirstOfABatch, says=lost(2, of=4)),
    Bug(name="only records that are strings are sent", made=f.SendsStringsOnly, meets=MIXED, says=lost(2, of=3)),
    Bug(
        name="a record that is an object becomes an empty text", made=f.FlattensToText, meets=MIXED, says=lost(2, of=3)
    ),
    Bug(name="a record of several lines becomes several", made=f.SplitsLines, meets=TRACEBACK, says=lost(1, of=1)),
    Bug(
        name="a record over 256 KiB is dropped",
        made=f.DropsLargeRecords,
        meets=records("a record of 300,000 bytes", "x" * 300_000, "a short one"),
        says=lost(1, of=2),
    ),
    Bug(
        name="a long record is cut",
        made=f.CutsRecords,
        meets=records("a record of 1,001 characters", "y" * 1_001, "a short one"),
        says=lost(1, of=2),
    ),
    Bug(
        name="what is not ASCII is replaced",
        made=f.SendsAscii,
        meets=records("a record with `€`", "für 3 €", "for 3 $"),
        says=lost(1, of=2),
    ),
    Bug(
        name="a report that comes with the next invocation is dropped",
        made=f.DropsTheReportOfTheInvocationBefore,
        twin=f.SendsPlatformEventsToo,
        asked={"types": ["platform.report"]},
        remark=' with `types=["platform.report"]`',
        says=lost(1, of=2),
    ),
    Bug(
        name="records overtake one another",
        made=f.SendsEachRecordInAThread,
        caught=NOT,
        remark=": compare what the backend has with `records()`",
    ),
    Bug(
        name="a record gets the time at which it is sent",
        made=f.SendsTheTimeOfItsOwnClock,
        caught=NOT,
        remark=": look into `requests`",
    ),
]

# -- a life ------------------------------------------------------------------------------------------------------------


@contextmanager
def quiet_threads() -> Iterator[None]:
    """A thread that dies is told by the environment, not by pytest too."""
    before, threading.excepthook = threading.excepthook, lambda _args: None
    try:
        yield
    finally:
        threading.excepthook = before


def what_a_test_says(bug: Bug, made: Made, folder: Path, *, asserted: bool) -> str:
    """The message with which a test ends that lets `made` live through the bug's situation; empty where it is green."""
    try:
        with quiet_threads(), LambdaTelemetry(SETTINGS) as environment:
            backend = environment.backend()
            address = f"{backend.host}:{backend.port}"
            if isinstance(made, str):
                environment.run_extension(program(folder, CHILD.format(body=made)), env={"BACKEND": address})
                environment.wait_until_ready("ext.py", timeout=20)
                bug.meets(environment, backend)
                environment.shutdown()
            else:
                with made(address):
                    try:
                        bug.meets(environment, backend)
                    finally:
                        environment.shutdown()
            if asserted:
                environment.assert_exactly_once(timeout=0, **bug.asked)  # the extension has ended: nothing is to come
    except AssertionError as error:  # a ProtocolViolation is one
        return re.sub(r"(?<=sandbox\.localdomain:)\d+", "PORT", str(error))
    return ""
