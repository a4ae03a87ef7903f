"""Scripts played on the environment's clock to real subscribers and real extensions."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, ProtocolViolation, Script, Settings, events
from pytest_lambda_telemetry.protocol.schema import InitializationType, trace_header
from pytest_lambda_telemetry.script import Action, EndInit, Flush, Freeze, Invoke, Shutdown, Thaw
from tests.support.helpers import Listener
from tests.support.living import Event, Living, Make, living

START = "2026-01-01T00:00:00Z"
MANAGED: InitializationType = "lambda-managed-instances"
BARE: dict[str, object] = {"platform_events": False, "start": START}
INIT = [
    "platform.initStart",
    "platform.telemetrySubscription",
    "platform.initRuntimeDone",
    "platform.extension",
    "platform.initReport",
]
RUN = ["platform.start", "platform.runtimeDone", "platform.report"]


@pytest.fixture
def extension() -> Iterator[Make]:
    with living() as make:
        yield make


def clock_of(event: Event) -> int:
    """Milliseconds after the start."""
    return round((float(event["time"][17:-1]) + 60 * int(event["time"][14:16])) * 1000)


# -- on the clock ------------------------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(**BARE)
def test_each_step_happens_at_its_own_offset(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension(buffering={"timeoutMs": 25})
    lambda_telemetry.advance(ms=500)
    script = Script([(offset, events.function(str(offset))) for offset in (0, 12.5, 100, 100, 2000.25)])
    lambda_telemetry.play(script)
    assert lambda_telemetry.elapsed == timedelta(milliseconds=2500.25)
    lambda_telemetry.flush()
    assert [clock_of(event) for event in ext.received] == [500, 512, 600, 600, 2500]
    assert [len(batch) for batch in ext.listener.batches] == [2, 2, 1]


@pytest.mark.lambda_telemetry(**BARE)
def test_play_returns_the_batches_that_it_sent(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension(buffering={"timeoutMs": 100})
    script = Script([(0, events.function("a")), (50, events.function("b")), (500, events.function("c"))])
    (delivery,) = lambda_telemetry.play(script)
    assert delivery.types == ("function", "function")
    assert lambda_telemetry.play(Script()) == ()


@pytest.mark.lambda_telemetry(**BARE)
def test_a_shifted_and_stretched_script_keeps_its_distances(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    script = Script([(10, events.function("a")), (20, events.function("b"))])
    lambda_telemetry.play(script.shifted(5).stretched(10))
    lambda_telemetry.flush()
    assert [clock_of(event) for event in ext.received] == [150, 250]


@pytest.mark.lambda_telemetry(**BARE)
def test_a_script_goes_on_by_the_wall_while_the_environment_is_frozen(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(buffering={"timeoutMs": 100})
    lambda_telemetry.end_init()
    begun = lambda_telemetry.elapsed
    script = Script(
        [(0, Freeze()), (1000, events.function("frozen")), (5000, Thaw()), (5100, events.function("awake"))]
    )
    lambda_telemetry.play(script)
    assert lambda_telemetry.elapsed - begun == timedelta(milliseconds=100)
    assert [clock_of(event) for event in ext.received] == [1100, 5200][: len(ext.received)]
    assert ext.types == ["function"]  # its timer ran from the thaw, for 100 ms
    lambda_telemetry.flush()
    assert [clock_of(event) for event in ext.received] == [1100, 5200]


def test_under_freezegun_a_script_takes_the_users_clock_along(extension: Make) -> None:
    with freeze_time(START) as frozen, LambdaTelemetry(Settings(platform_events=False)) as environment:
        ext = extension()
        environment.play(Script([(0, events.function("a")), (1500, events.function("b"))]))
        assert frozen().isoformat() == "2026-01-01T00:00:01.500000"
        environment.flush()
        assert [clock_of(event) for event in ext.received] == [0, 1500]
        environment.shutdown()


@pytest.mark.lambda_telemetry(**BARE)
def test_nothing_runs_when_a_later_step_cannot(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    script = Script([(0, events.function("fine")), (10, events.function({"bad": float("nan")}))])
    with pytest.raises(MisuseError, match=r"step 1 of the script \(function .*cannot be sent as JSON"):
        lambda_telemetry.play(script)
    assert lambda_telemetry.elapsed == timedelta(0)
    lambda_telemetry.flush()
    assert ext.types == []


@pytest.mark.parametrize("script", [None, [], "cold start", Script], ids=str)
def test_only_a_script_can_be_played(lambda_telemetry: LambdaTelemetry, script: Script) -> None:
    with pytest.raises(MisuseError, match=r"play\(\) takes a Script"):
        lambda_telemetry.play(script)


# -- steps that concern extensions -------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(**BARE)
def test_invoke_and_shutdown_reach_the_extensions_that_ask(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    watcher = extension("watcher", ("SHUTDOWN",))
    lambda_telemetry.play(Script.invocation(request_id="r-1") + Script.timeout(request_id="r-2", timeout_s=1.0))
    ext.join()
    watcher.join()
    assert [event["eventType"] for event in ext.told] == ["INVOKE", "INVOKE", "SHUTDOWN"]
    assert [event["eventType"] for event in watcher.told] == ["SHUTDOWN"]
    assert [event.get("requestId") for event in ext.told] == ["r-1", "r-2", None]
    assert ext.told[0]["tracing"]["value"] == trace_header("r-1")
    assert "tracing" not in ext.of("platform.start")[0]
    assert ext.told[-1]["shutdownReason"] == "timeout"


def test_the_deadline_of_a_scripts_invoke_counts_from_its_step(extension: Make) -> None:
    with freeze_time(START), LambdaTelemetry(Settings(platform_events=False)) as environment:
        ext = extension()
        environment.play(Script.invocation(timeout_s=2.0).shifted(250))
        environment.shutdown()
        ext.join()
        assert ext.told[0]["deadlineMs"] == round(environment.now.timestamp() * 1000 - 101.5 + 2000)


@pytest.mark.lambda_telemetry(**BARE)
def test_steps_for_extensions_are_skipped_where_there_is_none(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri)
        lambda_telemetry.play(Script.cold_start() + Script.timeout())
        assert [event["type"] for batch in listener.batches for event in batch] == [*INIT, *RUN, *RUN]
    skipped = [entry.what for entry in lambda_telemetry.journal if entry.verdict.startswith("skipped: no extension")]
    assert [what.split()[0] for what in skipped] == ["INVOKE", "INVOKE", "SHUTDOWN"]


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2, **BARE)
def test_an_extension_that_holds_up_the_freeze_is_named(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    gate = threading.Event()
    extension(on_event=lambda event: gate.wait(10))
    lambda_telemetry.play(Script.invocation(timeout_s=0.2))
    gate.set()
    with pytest.raises(ProtocolViolation, match=r"(?s)did not ask .* the script freezes .* still buffered"):
        lambda_telemetry.check()


@pytest.mark.lambda_telemetry(**BARE)
def test_one_that_waits_for_runtime_done_gets_it_within_the_overhead(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext: Living = extension(on_event=lambda event: ext.wait_for("platform.runtimeDone"), buffering={"timeoutMs": 25})
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.play(Script.invocation(overhead_ms=25))
    assert ext.types == RUN[:2]


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells who has something to do")
@pytest.mark.lambda_telemetry(**BARE)
def test_time_does_not_run_away_from_one_that_is_still_working(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension(on_event=lambda event: hashlib.pbkdf2_hmac("sha256", b"", b"", 250_000))
    lambda_telemetry.play(Script.invocation(logs=["a line"]))
    assert lambda_telemetry.elapsed == timedelta(milliseconds=101.5)


@pytest.mark.lambda_telemetry(**BARE)
def test_what_is_buffered_at_a_scripts_freeze_comes_with_the_next_invocation(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.play(Script.invocation(duration_ms=400))
    assert ext.types == []
    lambda_telemetry.play(Script.invocation(duration_ms=700))
    assert ext.types == [*RUN, "platform.start"]
    lambda_telemetry.shutdown()
    assert ext.types == [*RUN, *RUN]


def test_init_ends_where_the_script_says_so(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension()
    lambda_telemetry.play(Script([(0, events.platform_init_start()), (10, events.platform_init_report())]))
    extension("second")
    lambda_telemetry.play(Script([(0, EndInit())]))
    with pytest.raises(MisuseError):
        lambda_telemetry.register("third")
    lambda_telemetry.play(Script([(0, EndInit())]))  # over is over


def test_an_invocation_of_a_script_inside_another_is_a_misuse(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.invocation() as invocation:
        with pytest.raises(MisuseError, match=r"step 0 of the script \(INVOKE .*an invocation is running"):
            lambda_telemetry.play(Script.invocation())
        lambda_telemetry.play(Script([(5, events.function("a line"))]))
    assert invocation.outcome == "completed"


# -- the ready-made ones -----------------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(**BARE)
def test_a_cold_start_and_warm_invocations(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.play(Script.cold_start(init_logs=["boot"], logs=["one"]) + Script.invocation(logs=["two"]) * 2)
    lambda_telemetry.shutdown()
    ext.join()
    warm = ["platform.start", "function", "platform.runtimeDone", "platform.report"]
    assert ext.types == [*INIT[:2], "function", *INIT[2:], *warm, *warm, *warm]
    assert ["initDurationMs" in report["metrics"] for report in ext.of("platform.report")] == [True, False, False]
    assert [event["requestId"] for event in ext.told[:-1]] == [one["requestId"] for one in ext.of("platform.start")]
    assert len({one["requestId"] for one in ext.of("platform.start")}) == 3


@pytest.mark.parametrize(
    ("script", "reason", "status", "error_type"),
    [
        (Script.timeout(), "timeout", "timeout", None),
        (Script.crash(), "failure", "error", "Runtime.ExitError"),
        (Script.out_of_memory(memory_mb=256), "failure", "error", "Runtime.OutOfMemory"),
    ],
    ids=["timeout", "crash", "out_of_memory"],
)
@pytest.mark.lambda_telemetry(**BARE)
def test_an_environment_that_breaks_flushes_and_shuts_down(
    extension: Make,
    lambda_telemetry: LambdaTelemetry,
    script: Script,
    reason: str,
    status: str,
    error_type: str | None,
) -> None:
    ext = extension(buffering={"timeoutMs": 30_000})
    lambda_telemetry.play(script)
    ext.join()
    assert ext.types == RUN
    assert ext.told[-1]["shutdownReason"] == reason
    for record in (*ext.of("platform.runtimeDone"), *ext.of("platform.report")):
        assert (record["status"], record.get("errorType")) == (status, error_type)
    metrics = ext.of("platform.report")[0]["metrics"]
    assert (metrics["maxMemoryUsedMB"] == metrics["memorySizeMB"]) == (error_type == "Runtime.OutOfMemory")
    with pytest.raises(MisuseError, match="has shut down"):
        lambda_telemetry.invoke()


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2, **BARE)
def test_a_script_that_goes_on_after_a_crash_waits_for_nobody(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.play(Script.crash() + Script.invocation())
    lambda_telemetry.flush()
    ext.join()
    assert ext.types == [*RUN, *RUN]
    assert [event["eventType"] for event in ext.told] == ["INVOKE", "SHUTDOWN"]
    lambda_telemetry.check()


@pytest.mark.lambda_telemetry(**BARE)
def test_a_suppressed_init_is_repeated_with_the_invocation(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.play(Script.suppressed_init())
    lambda_telemetry.shutdown()
    assert ext.types == [
        *(kind for kind in INIT if kind != "platform.extension"),
        *INIT,
        *RUN,
    ]
    assert [record["phase"] for record in ext.of("platform.initStart")] == ["init", "invoke"]
    states = [record["state"] for record in ext.of("platform.telemetrySubscription")]
    assert states == ["Subscribed", "Already subscribed"]


@pytest.mark.lambda_telemetry(initialization_type="snap-start", **BARE)
def test_a_restore_is_followed_by_an_invocation(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.play(Script.restore(restore_duration_ms=60.5))
    lambda_telemetry.shutdown()
    ext.join()
    assert ext.types == ["platform.restoreStart", "platform.restoreRuntimeDone", "platform.restoreReport", *RUN]
    metrics = ext.of("platform.report")[0]["metrics"]
    assert (metrics["restoreDurationMs"], metrics["billedRestoreDurationMs"]) == (60.5, 61)
    assert len(ext.told) == 2


@pytest.mark.lambda_telemetry(initialization_type="provisioned-concurrency", **BARE)
def test_provisioned_concurrency_initializes_apart_from_the_invocation(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.play(Script.cold_start(initialization_type="provisioned-concurrency"))
    lambda_telemetry.shutdown()
    assert ext.of("platform.initStart")[0]["initializationType"] == "provisioned-concurrency"
    assert "initDurationMs" not in ext.of("platform.report")[0]["metrics"]


def concurrent(extension: Make, seed: int) -> list[Event]:
    settings = Settings(initialization_type=MANAGED, platform_events=False, start=START)
    script = Script.initialization(initialization_type=MANAGED)
    script += Script.invocation(initialization_type=MANAGED, logs=["x"]).concurrent(4, seed=seed)
    with LambdaTelemetry(settings) as environment:
        ext = extension(events=("SHUTDOWN",), schemaVersion="2025-01-29")
        environment.play(script)
        environment.shutdown()
        ext.join()
        assert [event["eventType"] for event in ext.told] == ["SHUTDOWN"]
        return ext.received


def test_concurrent_invocations_interleave_and_are_told_apart_by_request_id(extension: Make) -> None:
    received = concurrent(extension, 7)
    starts = [event for event in received if event["type"] == "platform.start"]
    reports = [event for event in received if event["type"] == "platform.report"]
    assert {event["record"]["requestId"] for event in starts} == {event["record"]["requestId"] for event in reports}
    assert len({event["record"]["requestId"] for event in starts}) == 4
    kinds = [event["type"] for event in received]
    assert "platform.runtimeDone" not in kinds
    assert kinds.index("platform.report") > kinds.index("platform.start") + 2  # another began meanwhile
    assert all(event["record"]["metrics"].keys() == {"durationMs"} for event in reports)
    assert concurrent(extension, 7) == received
    assert concurrent(extension, 8) != received


@pytest.mark.lambda_telemetry(**BARE)
def test_every_kind_of_step_is_carried_out(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    trace = "Root=1-5e1b4151-43a0913a12345678;Sampled=1"
    steps: list[tuple[float, Action]] = [
        (0, EndInit()),
        (0, Invoke(request_id="r", deadline_ms=500, tracing=trace)),
        (1, events.function("a")),
        (2, Flush()),
        (3, Freeze()),
        (4, Thaw()),
        (5, events.function("b")),
        (6, Shutdown("spindown")),
    ]
    lambda_telemetry.play(Script(steps))
    ext.join()
    assert [len(batch) for batch in ext.listener.batches] == [1, 1]
    assert ext.told[0]["tracing"]["value"] == trace
    assert [event["eventType"] for event in ext.told] == ["INVOKE", "SHUTDOWN"]


# -- what a person sees ------------------------------------------------------------------------------------------------


def test_the_table_of_a_cold_start_reads_from_left_to_right() -> None:
    table = str(Script.cold_start(request_id="r-1", init_logs=["boot"], logs=["a line"]))
    assert table.splitlines() == [
        "<Script of 13 steps in 201.5 ms>",
        "  0.000 ms  platform.initStart              on-demand init",
        " 20.000 ms  platform.telemetrySubscription  test-extension Subscribed",
        " 60.000 ms  function                        'boot'",
        "100.000 ms  platform.initRuntimeDone        on-demand init success",
        "100.000 ms  platform.extension              test-extension Ready",
        "100.000 ms  end of init",
        "100.000 ms  platform.initReport             on-demand init success 100.0 ms",
        "100.000 ms  INVOKE                          3000 ms left r-1",
        "100.000 ms  platform.start                  r-1",
        "150.000 ms  function                        'a line'",
        "200.000 ms  platform.runtimeDone            success 100.0 ms r-1",
        "201.500 ms  platform.report                 success 101.5 ms init 100.0 ms r-1",
        "201.500 ms  freeze",
    ]


@pytest.mark.lambda_telemetry(**BARE)
def test_the_timeline_tells_events_apart(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension()
    lambda_telemetry.play(Script.invocation(request_id="r-1"))
    timeline = lambda_telemetry.timeline()
    for told in ("INVOKE r-1", "success 100.0 ms r-1", "success 101.5 ms r-1", "the environment freezes"):
        assert told in timeline
