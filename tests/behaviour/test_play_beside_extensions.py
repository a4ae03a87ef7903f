"""Scripts played where extensions live: whatever both tell of an initialization, a subscriber is told once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, Script, Settings, events
from pytest_lambda_telemetry.script import Invoke
from pytest_lambda_telemetry.settings import SettingsOptions
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call
from tests.support.living import Event, Living, Make, living
from tests.support.programs import noted, program

START = "2026-01-01T00:00:00Z"
ALWAYS: SettingsOptions = {"start": START}
SCRIPTED: SettingsOptions = {"start": START, "platform_events": False}
BEGUN = ["0 initStart on-demand init", "0 telemetrySubscription ext Subscribed"]
"""What Lambda's own events say as soon as an extension registers and subscribes."""
DONE = ["100 initRuntimeDone on-demand init success", "100 extension ext Ready", "100 initReport 100"]
FIRST = ["100 start", "200 runtimeDone", "201 report 101.5 init 100"]


@pytest.fixture
def extension() -> Iterator[Make]:
    with living() as make:
        yield make


def line(event: Event) -> str:
    """An event in a few words: milliseconds after the start, type, what tells it from others."""
    at, record = round((float(event["time"][17:-1]) + 60 * int(event["time"][14:16])) * 1000), event["record"]
    kind = event["type"].removeprefix("platform.")
    match kind:
        case "initStart":
            words = [record["initializationType"], record["phase"]]
        case "initRuntimeDone":
            words = [record["initializationType"], record["phase"], record["status"], record.get("errorType", "")]
        case "telemetrySubscription" | "extension" if "state" in record:
            words = [record["name"], record["state"]]
        case "initReport":
            words = [f"{record['metrics']['durationMs']:g}", record.get("errorType", "")]
        case "report":
            init = record["metrics"].get("initDurationMs")
            words = [f"{record['metrics']['durationMs']:g}", f"init {init:g}" if init else ""]
        case "function":
            words = [record]
        case _:
            words = []
    return " ".join([str(at), kind, *filter(None, words)])


def story(ext: Living) -> list[str]:
    return [line(event) for event in ext.received]


def played(environment: LambdaTelemetry, *scripts: Script) -> None:
    environment.wait_until_ready()
    for script in scripts:
        environment.play(script)
    environment.shutdown()


# -- cold starts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(), ("ext",), ("another", "and another")], ids=str)
@pytest.mark.lambda_telemetry(**ALWAYS)
def test_a_cold_start_finishes_the_init_that_an_extension_has_begun(
    extension: Make, lambda_telemetry: LambdaTelemetry, given: tuple[str, ...]
) -> None:
    ext = extension()
    played(lambda_telemetry, Script.cold_start(init_logs=["boot"], logs=["line"], extensions=given))
    assert story(ext) == [*BEGUN, "60 function boot", *DONE, FIRST[0], "150 function line", *FIRST[1:]]
    assert ext.of("platform.telemetrySubscription")[0]["types"] == ["extension", "function", "platform"]


@pytest.mark.lambda_telemetry(**SCRIPTED)
def test_without_lambdas_own_events_the_script_tells_all_of_who_is_there(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(types=["platform", "function"], events=("SHUTDOWN",))
    played(lambda_telemetry, Script.cold_start(init_logs=["boot"]))
    subscribed = "20 telemetrySubscription ext Subscribed"
    assert story(ext) == [BEGUN[0], subscribed, "60 function boot", *DONE, *FIRST]
    assert ext.of("platform.telemetrySubscription")[0]["types"] == ["function", "platform"]
    assert ext.of("platform.extension")[0]["events"] == ["SHUTDOWN"]


@pytest.mark.parametrize("platform_events", [True, False])
def test_two_extensions_and_one_that_does_not_subscribe(extension: Make, platform_events: bool) -> None:
    with LambdaTelemetry(Settings(start=START, platform_events=platform_events)) as environment:
        ext = extension()
        extension("second", schemaVersion="2025-01-29")
        extension("silent", subscribes=False)
        played(environment, Script.cold_start())
        at = 0 if platform_events else 20
        assert story(ext) == [
            BEGUN[0],
            f"{at} telemetrySubscription ext Subscribed",
            f"{at} telemetrySubscription second Subscribed",
            DONE[0],
            "100 extension ext Ready",
            "100 extension second Ready",
            "100 extension silent Ready",
            DONE[2],
            *FIRST,
        ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_an_init_that_began_earlier_is_finished_at_the_scripts_moments(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.advance(ms=300)
    played(lambda_telemetry, Script.initialization(duration_ms=50, logs=["boot"]))
    assert story(ext) == [
        *BEGUN,
        "330 function boot",
        "350 initRuntimeDone on-demand init success",
        "350 extension ext Ready",
        "350 initReport 50",
    ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_an_init_that_is_over_is_not_told_again(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.end_init()
    played(lambda_telemetry, Script.cold_start(init_logs=["late"], request_id="r"))
    first = ["200 start", "300 runtimeDone", "301 report 101.5 init 100"]
    assert story(ext) == [*BEGUN, *DONE, "160 function late", *first]
    left_out = [entry.what for entry in lambda_telemetry.journal if entry.verdict.startswith("left out: this env")]
    assert left_out == [
        "platform.initStart on-demand init",
        "platform.telemetrySubscription test-extension Subscribed",
        "platform.initRuntimeDone on-demand init success",
        "platform.extension test-extension Ready",
        "platform.initReport on-demand init success 100.0 ms",
    ]


@pytest.mark.parametrize("platform_events", [True, False])
def test_only_the_first_of_several_cold_starts_is_one(extension: Make, platform_events: bool) -> None:
    with LambdaTelemetry(Settings(start=START, platform_events=platform_events)) as environment:
        ext = extension()
        played(environment, Script.cold_start() * 2, Script.cold_start())
        kinds = [kind.removeprefix("platform.") for kind in ext.types]
        init = ["initStart", "telemetrySubscription", "initRuntimeDone", "extension", "initReport"]
        assert kinds == [*init, *["start", "runtimeDone", "report"] * 3]
        metrics = [record["metrics"] for record in ext.of("platform.report")]
        assert ["initDurationMs" in one for one in metrics] == [True, False, False]
        assert [one["billedDurationMs"] for one in metrics] == [202, 102, 102]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_only_one_report_has_the_init_in_it(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.end_init()
    lambda_telemetry.play(Script.cold_start())
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    assert ["initDurationMs" in record["metrics"] for record in ext.of("platform.report")] == [True, False]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_an_extension_that_has_failed_fails_the_scripts_init(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    failing = extension("failing", asks=False, subscribes=False)
    error = {IDENTIFIER: failing.identifier, "Lambda-Extension-Function-Error-Type": "Extension.NoConfig"}
    assert call("POST", f"{EXTENSION}/init/error", {}, error).status == 202
    played(lambda_telemetry, Script.initialization())
    assert story(ext) == [
        *BEGUN,
        "100 initRuntimeDone on-demand init error Extension.NoConfig",
        "100 extension ext Ready",
        "100 extension failing InitError",
        "100 initReport 100 Extension.NoConfig",
    ]


# -- the other scripts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform_events", [True, False])
def test_a_suppressed_init_is_told_of_who_is_there(extension: Make, platform_events: bool) -> None:
    with LambdaTelemetry(Settings(start=START, platform_events=platform_events)) as environment:
        ext = extension()
        played(environment, Script.suppressed_init())
        assert story(ext) == [
            BEGUN[0],
            BEGUN[1] if platform_events else "20 telemetrySubscription ext Subscribed",
            "100 initRuntimeDone on-demand init error Function.Unknown",
            "100 initReport 100 Function.Unknown",
            "100 initStart on-demand invoke",
            "120 telemetrySubscription ext Already subscribed",
            "200 initRuntimeDone on-demand invoke success",
            "200 extension ext Ready",
            "200 initReport 100",
            "200 start",
            "300 runtimeDone",
            "301 report 201.5",
        ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_a_suppressed_init_behind_a_good_one_leaves_its_invocation(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.end_init()
    played(lambda_telemetry, Script.suppressed_init())
    assert story(ext) == [*BEGUN, *DONE, "300 start", "400 runtimeDone", "401 report 201.5"]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_an_invocation_ends_the_init_before_it(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.play(Script.invocation(logs=["line"]))
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    warm = ["100 start", "150 function line", "200 runtimeDone", "201 report 101.5"]
    assert story(ext)[:9] == [*BEGUN, *DONE, *warm]
    assert ["initDurationMs" in record["metrics"] for record in ext.of("platform.report")] == [False, False]


@pytest.mark.lambda_telemetry(initialization_type="snap-start", function_version="1", **ALWAYS)
def test_a_restore_ends_the_init_before_the_snapshot(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    played(lambda_telemetry, Script.restore(restore_duration_ms=80))
    assert story(ext) == [
        "0 initStart snap-start init",
        BEGUN[1],
        "100 initRuntimeDone snap-start init success",
        *DONE[1:],
        "100 restoreStart",
        "180 restoreRuntimeDone",
        "180 restoreReport",
        "180 start",
        "280 runtimeDone",
        "281 report 101.5",
    ]


@pytest.mark.lambda_telemetry(initialization_type="snap-start", function_version="1", **ALWAYS)
def test_what_a_snapshot_remembers_comes_again(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    played(lambda_telemetry, Script.restore(snapshot_at="2025-12-01T00:00:00Z"))
    old = [event["type"] for event in ext.received if not event["time"].startswith("2026-")]
    assert old == ["platform.initStart", "platform.initReport"]
    assert [ext.types.count(kind) for kind in (*old, "platform.initRuntimeDone")] == [2, 2, 1]


@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances", **ALWAYS)
def test_managed_instances_have_one_init_and_interleaved_invocations(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    managed = "lambda-managed-instances"
    ext = extension(events=("SHUTDOWN",), schemaVersion="2025-01-29")
    invocations = Script.invocation(initialization_type="lambda-managed-instances").concurrent(3, seed=1)
    played(lambda_telemetry, Script.initialization(initialization_type="lambda-managed-instances") + invocations)
    assert story(ext)[:5] == [
        f"0 initStart {managed} init",
        BEGUN[1],
        f"100 initRuntimeDone {managed} init success",
        *DONE[1:],
    ]
    assert sorted(kind for kind in ext.types[5:]) == ["platform.report"] * 3 + ["platform.start"] * 3


@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances", **ALWAYS)
def test_an_invocation_ends_the_init_on_managed_instances_too(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(events=("SHUTDOWN",), schemaVersion="2025-01-29")
    played(lambda_telemetry, Script.invocation(initialization_type="lambda-managed-instances"))
    assert [line.split()[1] for line in story(ext)][2:] == [
        *("initRuntimeDone", "extension", "initReport"),
        *("start", "report"),
    ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_behind_a_shutdown_a_script_tells_of_the_next_environment(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.play(Script.cold_start() + Script.crash() + Script.cold_start(extensions=["next"]))
    lambda_telemetry.flush()
    assert [line.split(" ", 1)[1] for line in story(ext)][11:16] == [
        "initStart on-demand init",
        "telemetrySubscription next Subscribed",
        "initRuntimeDone on-demand init success",
        "extension next Ready",
        "initReport 100",
    ]


# -- what stays as it was written --------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_steps_of_the_tests_own_stay_as_written(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.wait_until_ready()
    own = [events.platform_init_start(), events.platform_extension(name="mine"), events.platform_init_report()]
    lambda_telemetry.play(Script([(10, event) for event in own]))
    lambda_telemetry.play(Script([(step.offset_ms, step.action) for step in Script.initialization().steps[:2]]))
    lambda_telemetry.flush()
    assert story(ext) == [
        *BEGUN,
        "10 initStart on-demand init",
        "10 extension mine Ready",
        "10 initReport 100",
        "10 initStart on-demand init",
        "30 telemetrySubscription test-extension Subscribed",
    ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_an_invoke_of_the_tests_own_ends_init_without_a_word(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    played(lambda_telemetry, Script([(0, Invoke(request_id="r", deadline_ms=500, tracing="x"))]))
    assert story(ext) == BEGUN


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_a_recording_is_replayed_as_it_is(extension: Make, lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    ext = extension()
    with LambdaTelemetry(Settings(start=START)) as recorder, Listener() as listener:
        recorder.subscribe(listener.uri)
        recorder.play(Script.initialization())
        recorder.shutdown()
        recorder.save_ndjson(tmp_path / "capture.ndjson")
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.play(Script.from_ndjson(tmp_path / "capture.ndjson"))
    lambda_telemetry.flush()
    assert story(ext)[2:] == [
        BEGUN[0],
        "20 telemetrySubscription test-extension Subscribed",
        DONE[0],
        "100 extension test-extension Ready",
        DONE[2],
    ]


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_beside_hand_made_extensions_a_script_names_whom_it_was_written_with(
    lambda_telemetry: LambdaTelemetry,
) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, name="mine")
        lambda_telemetry.play(Script.cold_start(extensions=["a", "b"]) * 2)
        lambda_telemetry.shutdown()
        lines = [line(event) for batch in listener.batches for event in batch]
    names = [one.split()[2] for one in lines if one.split()[1] in ("telemetrySubscription", "extension")]
    assert names == ["a", "b"] * 4
    assert sum("init 100" in one for one in lines) == 2


# -- misuse, children, repeatability -----------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(**ALWAYS)
def test_a_script_cannot_finish_an_init_of_another_type(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    script = Script([(0, events.function("x"))]) + Script.cold_start(initialization_type="provisioned-concurrency")
    with pytest.raises(MisuseError) as caught:
        lambda_telemetry.play(script)
    assert str(caught.value) == (
        "the extensions here have begun an initialization of type 'on-demand', and the script tells one of type"
        " 'provisioned-concurrency'; give the setting and the script the same initialization_type"
    )
    lambda_telemetry.flush()
    assert story(ext) == BEGUN
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.play(Script.crash() + Script.cold_start(initialization_type="provisioned-concurrency"))
    lambda_telemetry.flush()
    assert "provisioned-concurrency" in str(story(ext)[8:])  # the next environment's


@pytest.mark.lambda_telemetry(initialization_type="provisioned-concurrency", **ALWAYS)
def test_of_the_same_type_it_can(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    played(lambda_telemetry, Script.cold_start(initialization_type="provisioned-concurrency"))
    assert "initDurationMs" not in ext.of("platform.report")[0]["metrics"]
    assert ext.types.count("platform.initStart") == 1


CHILD = """
me = register('ext.py')
subscribe(me, serve(lambda batch: None), ['platform', 'function'])
until_shutdown(me)
"""


def child_story(folder: Path) -> tuple[list[str], list[str]]:
    """What a child is told when a script is played at once, and what the journal says of events and deliveries."""
    with LambdaTelemetry(Settings(start=START)) as environment:
        environment.run_extension(program(folder, CHILD))
        environment.play(Script.cold_start(init_logs=["boot"]))  # without a wait: the script waits by itself
        environment.shutdown()
        lines = [line(event) for one in environment.deliveries if one.ok for event in one.events]
        entries = [entry for entry in environment.journal if entry.kind in ("event", "delivery")]
        return lines, [f"{entry.elapsed} {entry.who} {entry.what} {entry.verdict}" for entry in entries]


def test_a_child_that_is_still_starting_is_waited_for_and_two_runs_are_the_same(tmp_path: Path) -> None:
    lines, journal = child_story(tmp_path)
    assert lines == [one.replace(" ext ", " ext.py ") for one in (*BEGUN, "60 function boot", *DONE, *FIRST)]
    assert child_story(tmp_path) == (lines, journal)


def test_a_restart_begins_another_init_that_a_script_can_finish(tmp_path: Path) -> None:
    with LambdaTelemetry(Settings(start=START)) as environment:
        environment.run_extension(program(tmp_path, CHILD))
        environment.play(Script.cold_start())
        environment.restart()
        before = len(environment.deliveries)
        environment.play(Script.cold_start())
        environment.shutdown()
        kinds = [kind.removeprefix("platform.") for one in environment.deliveries[before:] for kind in one.types]
        init = ["initStart", "telemetrySubscription", "initRuntimeDone", "extension", "initReport"]
        assert kinds == [*init, "start", "runtimeDone", "report"]
        last = environment.deliveries[-1].events[-1]["record"]
        assert last["metrics"]["initDurationMs"] == 100.0
        assert noted(environment, "note") == []
