"""Scripts: the lifecycles they describe, how they combine, what they refuse, and captures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_lambda_telemetry import events
from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.model.event import Event
from pytest_lambda_telemetry.protocol import schema
from pytest_lambda_telemetry.protocol.projection import resolve
from pytest_lambda_telemetry.script import Action, EndInit, Flush, Freeze, Invoke, Script, Shutdown, Step, Thaw
from tests.support.event_schemas import event_schema

TIME = "2025-01-29T12:00:00.000Z"
INVOCATION = ["Invoke", "platform.start", "platform.runtimeDone", "platform.report", "Freeze"]
INIT = [
    "platform.initStart",
    "platform.telemetrySubscription",
    "platform.initRuntimeDone",
    "platform.extension",
    "EndInit",
    "platform.initReport",
]


def kinds(script: Script) -> list[str]:
    return [step.action.type if isinstance(step.action, Event) else type(step.action).__name__ for step in script.steps]


def records(script: Script, event_type: str) -> list[Any]:
    return [
        step.action.record for step in script.steps if isinstance(step.action, Event) and step.action.type == event_type
    ]


def ids(script: Script) -> list[str]:
    return [record["requestId"] for record in records(script, "platform.start")]


READY_MADE = {
    "initialization": Script.initialization(),
    "cold_start": Script.cold_start(logs=["a"], init_logs=["b"]),
    "provisioned": Script.cold_start(initialization_type="provisioned-concurrency"),
    "managed": Script.cold_start(initialization_type="lambda-managed-instances"),
    "invocation": Script.invocation(
        logs=["a", {"b": 1}, events.extension("c"), None, 3, [1], events.function_log("m")]
    ),
    "error": Script.invocation(status="error", error_type="Runtime.ValueError"),
    "timeout": Script.timeout(),
    "crash": Script.crash(),
    "out_of_memory": Script.out_of_memory(),
    "suppressed_init": Script.suppressed_init(),
    "restore": Script.restore(),
    "snapshot": Script.restore(snapshot_at="2026-01-01T00:00:00Z"),
    "concurrent": Script.invocation(initialization_type="lambda-managed-instances").concurrent(3),
}


@pytest.mark.parametrize("script", READY_MADE.values(), ids=READY_MADE)
def test_every_event_of_a_ready_made_script_is_as_published(script: Script) -> None:
    for step in script.steps:
        if isinstance(step.action, Event):
            stamped = resolve(step.action, TIME)
            Draft202012Validator(event_schema("2025-01-29", step.action.type)).validate(stamped)


def test_a_warm_invocation() -> None:
    script = Script.invocation(
        logs=["a", {"b": 1}, events.extension("c")], duration_ms=40, timeout_s=1, tenant_id="blue"
    )
    assert kinds(script) == [*INVOCATION[:2], "function", "function", "extension", *INVOCATION[2:]]
    assert [step.offset_ms for step in script.steps] == [0, 0, 10, 20, 30, 40, 41.5, 41.5]
    invoke = script.steps[0].action
    assert invoke == Invoke(request_id=ids(script)[0], deadline_ms=1000, tracing=schema.trace_header(ids(script)[0]))
    (done,), (report,) = records(script, "platform.runtimeDone"), records(script, "platform.report")
    assert (done["metrics"]["durationMs"], report["metrics"]["durationMs"]) == (40, 41.5)
    assert report["spans"][0]["durationMs"] == 1.5
    assert done["tenantId"] == report["tenantId"] == "blue"


def test_the_options_of_an_invocation_reach_its_events() -> None:
    script = Script.invocation(
        request_id="chosen",
        tracing="Root=1-2",
        function_name="billing",
        function_version="7",
        memory_mb=512,
        max_memory_used_mb=100,
        overhead_ms=0,
    )
    (start,), (report,) = records(script, "platform.start"), records(script, "platform.report")
    assert start == {
        "requestId": "chosen",
        "version": "7",
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:billing",
        "tracing": {**schema.tracing("chosen"), "value": "Root=1-2"},
    }
    assert (report["metrics"]["memorySizeMB"], report["metrics"]["maxMemoryUsedMB"]) == (512, 100)
    assert [(span["name"], span["durationMs"]) for span in report["spans"]] == [("extensionOverhead", 0)]
    invoke = script.steps[0].action
    assert isinstance(invoke, Invoke)
    assert invoke.tracing == "Root=1-2"


def test_a_function_error() -> None:
    script = READY_MADE["error"]
    for event_type in ("platform.runtimeDone", "platform.report"):
        (record,) = records(script, event_type)
        assert (record["status"], record["errorType"]) == ("error", "Runtime.ValueError")


def test_a_cold_start() -> None:
    script = READY_MADE["cold_start"]
    assert kinds(script) == [*INIT[:2], "function", *INIT[2:], *INVOCATION[:2], "function", *INVOCATION[2:]]
    assert records(script, "platform.report")[0]["metrics"]["initDurationMs"] == 100.0
    assert script.duration_ms == 201.5


def test_each_extension_subscribes_and_is_ready() -> None:
    script = Script.initialization(extensions=("one", "two"))
    assert [record["name"] for record in records(script, "platform.telemetrySubscription")] == ["one", "two"]
    assert [record["name"] for record in records(script, "platform.extension")] == ["one", "two"]


@pytest.mark.parametrize("name", ["provisioned", "managed"])
def test_only_an_on_demand_init_counts_in_the_first_report(name: str) -> None:
    (report,) = records(READY_MADE[name], "platform.report")
    assert "initDurationMs" not in report["metrics"]


def test_managed_instances_have_no_invoke_no_runtime_done_and_a_small_report() -> None:
    script = READY_MADE["managed"]
    assert kinds(script) == [*INIT, "platform.start", "platform.report"]
    (report,) = records(script, "platform.report")
    assert report["metrics"] == {"durationMs": 100.0}
    assert [span["name"] for span in report["spans"]] == ["responseLatency", "responseDuration"]


def test_a_timeout() -> None:
    script = Script.timeout(timeout_s=2)
    assert kinds(script) == [*INVOCATION[:4], "Shutdown"]
    assert script.duration_ms == 2000
    assert script.steps[-1].action == Shutdown("timeout")
    (report,) = records(script, "platform.report")
    assert report["status"] == "timeout"
    assert report["metrics"]["durationMs"] == report["metrics"]["billedDurationMs"] == 2000
    assert "spans" not in report


@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        (Script.crash(), "Runtime.ExitError"),
        (Script.crash(error_type="Runtime.Unknown"), "Runtime.Unknown"),
        (Script.out_of_memory(), "Runtime.OutOfMemory"),
    ],
)
def test_a_runtime_that_dies(script: Script, error_type: str | None) -> None:
    assert kinds(script) == [*INVOCATION[:4], "Flush", "Shutdown"]
    assert script.steps[-1].action == Shutdown("failure")
    assert {records(script, name)[0]["errorType"] for name in INVOCATION[2:4]} == {error_type}


def test_out_of_memory_uses_all_of_it() -> None:
    (report,) = records(Script.out_of_memory(memory_mb=256), "platform.report")
    assert report["metrics"]["maxMemoryUsedMB"] == report["metrics"]["memorySizeMB"] == 256


def test_a_suppressed_init_is_repeated_in_the_invocation() -> None:
    script = Script.suppressed_init(init_status="timeout", init_duration_ms=50)
    failed = [kind for kind in INIT if kind not in ("platform.extension", "EndInit")]
    assert kinds(script) == failed + INIT + INVOCATION
    assert [record["phase"] for record in records(script, "platform.initStart")] == ["init", "invoke"]
    assert [record["status"] for record in records(script, "platform.initReport")] == ["timeout", "success"]
    states = [record["state"] for record in records(script, "platform.telemetrySubscription")]
    assert states == ["Subscribed", "Already subscribed"]
    (report,) = records(script, "platform.report")
    assert report["metrics"]["durationMs"] == 151.5
    assert "initDurationMs" not in report["metrics"]


def test_a_restore() -> None:
    script = Script.restore(restore_duration_ms=80.5, restore_logs=["thawing"])
    restored = ["platform.restoreStart", "function", "platform.restoreRuntimeDone", "platform.restoreReport"]
    assert kinds(script) == ["EndInit", *restored, *INVOCATION]
    metrics = records(script, "platform.report")[0]["metrics"]
    assert (metrics["restoreDurationMs"], metrics["billedRestoreDurationMs"]) == (80.5, 81)
    assert records(script, "platform.start")[0]["version"] == "1"


def test_a_restore_may_bring_the_snapshots_own_events_with_old_timestamps() -> None:
    plain = Script.restore(function_version="3")
    script = Script.restore(snapshot_at="2026-01-01T00:00:00Z", init_duration_ms=250, function_version="3")
    started, report = (step.action for step in script.steps[1:3])
    assert [*script.steps[:1], *script.steps[3:]] == [*plain.steps]
    assert isinstance(started, Event)
    assert isinstance(report, Event)
    assert (started.type, started.time) == ("platform.initStart", "2025-12-31T23:59:59.750Z")
    assert (report.type, report.time) == ("platform.initReport", "2026-01-01T00:00:00.000Z")
    record: Any = started.record
    assert (record["initializationType"], record["functionVersion"]) == ("snap-start", "3")
    assert record["instanceId"].startswith("2026/01/01/[3]")
    assert records(script, "platform.initReport")[0]["metrics"] == {"durationMs": 250}
    with pytest.raises(MisuseError, match="snapshot_at='yesterday' is not a moment"):
        Script.restore(snapshot_at="yesterday")


def test_a_script_begins_where_the_one_before_it_ends() -> None:
    script = Script([(0, events.function("a")), (10, events.function("b"))]) + Script([(5, events.function("c"))])
    assert [step.offset_ms for step in script.steps] == [0, 10, 15]
    assert script == Script([Step(0, events.function("a")), (10, events.function("b")), (15, events.function("c"))])


def test_request_ids_stay_distinct_and_the_same_in_every_run() -> None:
    script = Script.invocation() + Script.invocation() * 2
    assert ids(script) == [schema.request_id(number) for number in range(3)]
    assert script == Script.invocation() * 3 == 3 * Script.invocation()
    assert script == Script.invocation() + (Script.invocation() + Script.invocation())
    for identifier, invoke, done in zip(
        ids(script),
        [step.action for step in script.steps if isinstance(step.action, Invoke)],
        records(script, "platform.runtimeDone"),
        strict=True,
    ):
        assert invoke.request_id == done["requestId"] == identifier
        assert invoke.tracing == schema.trace_header(identifier)


def test_tracing_that_was_made_of_a_request_id_follows_it() -> None:
    first = schema.request_id()
    traced = Script([(0, events.platform_start(tracing=schema.tracing(first)))])
    values = [record["tracing"]["value"] for record in records(traced * 2, "platform.start")]
    assert values == [schema.trace_header(first), schema.trace_header(schema.request_id(1))]


@pytest.mark.parametrize("name", READY_MADE)
def test_no_event_has_tracing_where_none_is_given(name: str) -> None:
    for step in READY_MADE[name].steps:
        if isinstance(step.action, Event) and isinstance(step.action.record, dict):
            assert "tracing" not in step.action.record


@pytest.mark.parametrize("make", [Script.cold_start, Script.restore, Script.suppressed_init, Script.crash])
def test_every_event_that_can_have_tracing_has_the_one_that_is_given(make: Callable[..., Script]) -> None:
    script = make(tracing="Root=1-2")
    untraced = {"platform.telemetrySubscription", "platform.extension"}
    for step in script.steps:
        if isinstance(step.action, Event) and step.action.type not in untraced:
            assert isinstance(step.action.record, dict)
            assert step.action.record["tracing"]["value"] == "Root=1-2"


def test_the_runtime_of_a_script() -> None:
    script = Script.cold_start(runtime="python3.14.DurableFunction")
    assert records(script, "platform.initStart")[0]["runtimeVersion"] == "python:3.14.DurableFunction.v1"
    restored = Script.restore(runtime="java21")
    assert records(restored, "platform.restoreStart")[0]["runtimeVersion"] == "java:21.v1"
    for make in (Script.initialization, Script.cold_start, Script.restore):
        with pytest.raises(MisuseError, match="runtime='Java' is no Lambda runtime"):
            make(runtime="Java")


def test_a_request_id_that_was_chosen_is_changed_only_in_repetitions() -> None:
    chosen = Script.invocation(request_id="mine", tracing="Root=1-2")
    assert ids(chosen + chosen) == ["mine", "mine"]
    assert ids(Script.invocation() + chosen) == [schema.request_id(0), "mine"]
    repeated = chosen * 2
    assert ids(repeated) == ["mine", schema.request_id(0)]
    assert {record["tracing"]["value"] for record in records(repeated, "platform.report")} == {"Root=1-2"}
    assert {step.action.tracing for step in repeated.steps if isinstance(step.action, Invoke)} == {"Root=1-2"}


def test_events_of_the_tests_own_keep_their_ids_when_joined() -> None:
    half, other = Script([(0, events.platform_start())]), Script([(50, events.platform_report())])
    assert ids(half + other) == [records(half + other, "platform.report")[0]["requestId"]]


def test_a_log_object_with_the_request_id_follows_it() -> None:
    script = Script.invocation(request_id="mine", logs=[{"requestId": "mine", "message": "x"}]) * 2
    assert [record["requestId"] for record in records(script, "function")] == ids(script)


def test_repeating() -> None:
    assert Script.invocation() * 0 == Script()
    assert len(Script.invocation() * 4) == 20
    with pytest.raises(MisuseError, match=r"^cannot repeat a script -1 times; multiply by 0 or more"):
        Script.invocation() * -1
    with pytest.raises(TypeError):
        Script.invocation() * 1.5
    with pytest.raises(TypeError):
        Script.invocation() + events.function()


def test_shifting_and_stretching() -> None:
    script = Script.invocation(timeout_s=1)
    assert script.shifted(10).steps[0].offset_ms == 10
    assert script.shifted(10).shifted(-10) == script
    wide = script.stretched(2)
    assert wide.duration_ms == 203
    invoke = wide.steps[0].action
    assert isinstance(invoke, Invoke)
    assert invoke.deadline_ms == 2000
    assert ids(wide + wide) == [schema.request_id(0), schema.request_id(1)]
    assert records(wide, "platform.report") == records(script, "platform.report")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda script: script.shifted(-1), "step 0 of the script is at -1"),
        (lambda script: script.shifted("1"), "ms='1' is not a finite number"),
        (lambda script: script.stretched(0), "cannot stretch a script by 0; pass a factor over 0"),
        (lambda script: script.stretched(True), "factor=True is not a finite number"),
        (lambda script: script.stretched(float("inf")), "factor=inf is not a finite number"),
        (lambda script: script.concurrent(0), "cannot run 0 copies of a script at once"),
        (lambda script: script.concurrent(2, seed=None), "seed=None is not an int"),
        (lambda script: Script.cold_start().concurrent(2), "a script with EndInit cannot run beside copies of itself"),
        (lambda script: Script.crash().concurrent(2), "a script with Flush, Shutdown cannot run beside copies"),
    ],
)
def test_changes_that_cannot_be(change: Callable[[Script], object], message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        change(Script.invocation())
    assert str(caught.value).startswith(message)


def test_concurrent_copies_interleave_the_same_way_for_the_same_seed() -> None:
    one = Script.invocation(logs=["a", "b"])
    script = one.concurrent(5, seed=7)
    assert script == one.concurrent(5, seed=7)
    assert script != one.concurrent(5, seed=8)
    assert len(set(ids(script))) == 5
    assert not {"Invoke", "Freeze"} & set(kinds(script))
    offsets = [step.offset_ms for step in script.steps]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    for identifier in ids(script):
        own = [
            step.action.type
            for step in script.steps
            if isinstance(step.action, Event)
            and isinstance(step.action.record, dict)
            and step.action.record["requestId"] == identifier
        ]
        assert own == ["platform.start", "platform.runtimeDone", "platform.report"]
    starts = [place for place, kind in enumerate(kinds(script)) if kind == "platform.start"]
    assert starts[-1] > kinds(script).index("function"), "they overlap"
    assert len(set(ids(script + one))) == 6


def test_a_script_never_changes() -> None:
    script = Script.invocation()
    before = script.steps
    _ = (script + script, script * 2, script.shifted(1), script.stretched(2), script.concurrent(2))
    assert script.steps is before
    with pytest.raises(AttributeError):
        script.steps = ()  # type: ignore[misc]  # this must fail
    with pytest.raises(TypeError, match="unhashable"):
        hash(script)
    assert script != "script"


def test_every_kind_of_step_is_taken_and_shown() -> None:
    actions: list[Action] = [EndInit(), Freeze(), Thaw(), Flush(), Shutdown()]
    odd = events.from_dict({"type": "odd", "record": [1]})
    script = Script([*((0, action) for action in actions), (1500.5, events.function("x" * 100)), (1500.5, odd)])
    assert repr(script) == "<Script of 7 steps in 1500.5 ms>"
    assert str(script).splitlines() == [
        "<Script of 7 steps in 1500.5 ms>",
        "    0.000 ms  end of init",
        "    0.000 ms  freeze",
        "    0.000 ms  thaw",
        "    0.000 ms  flush",
        "    0.000 ms  SHUTDOWN     spindown",
        "1,500.500 ms  function     '" + "x" * 70 + "…",
        "1,500.500 ms  odd          [1]",
    ]
    assert str(Script()) == "<Script of 0 steps in 0 ms>"


def test_the_table_of_an_invocation() -> None:
    script = Script.invocation(request_id="r-1", logs=[{"level": "INFO"}], status="error", error_type="Oops")
    assert str(script).splitlines()[1:] == [
        "  0.000 ms  INVOKE                3000 ms left r-1",
        "  0.000 ms  platform.start        r-1",
        " 50.000 ms  function              {'level': 'INFO'}",
        "100.000 ms  platform.runtimeDone  error Oops 100.0 ms r-1",
        "101.500 ms  platform.report       error Oops 101.5 ms r-1",
        "101.500 ms  freeze",
    ]


LINE = events.function("x")
UNTYPED: Any = Script  # for options that its types forbid


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([(0, LINE), (-1, LINE)], "step 1 of the script is at -1; pass milliseconds from its beginning, 0 or more"),
        ([("0", LINE)], "step 0 of the script is at '0'"),
        ([(True, LINE)], "step 0 of the script is at True"),
        ([(float("nan"), LINE)], "step 0 of the script is at nan"),
        ([(5, LINE), (3, LINE)], "step 1 of the script is at 3 ms, before step 0 at 5 ms; give the steps in order"),
        ([(0, {"type": "function"})], "step 0 of the script has {'type': 'function'}, which is not an Event; make it"),
        ([(0, "a line")], "step 0 of the script has 'a line', which is not an Event; make one with events"),
        ([LINE], "step 0 of the script is Event("),
        (LINE, "Script(Event("),
        (7, "Script(7): a script is a list of steps"),
    ],
)
def test_a_script_says_what_is_wrong_with_it(steps: Any, message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Script(steps)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNTYPED.invocation(status="timeout"), "status='timeout': an invocation that returns is"),
        (lambda: UNTYPED.invocation(duration_ms=5000), "duration_ms=5000 is longer than timeout_s=3 allows"),
        (lambda: UNTYPED.invocation(duration_ms=-1), "duration_ms=-1 is not a duration"),
        (lambda: UNTYPED.invocation(logs="a line"), "logs='a line' is not a list"),
        (lambda: UNTYPED.invocation(logs=[b"x"]), "function(b'x'): a log record"),
        (lambda: UNTYPED.timeout(duration_ms=1), "duration_ms with Script.timeout"),
        (lambda: UNTYPED.out_of_memory(max_memory_used_mb=1), "max_memory_used_mb with Script.out_of_memory"),
        (lambda: UNTYPED.cold_start(extensions="one"), "extensions='one' is not a list"),
        (lambda: UNTYPED.cold_start(init_duration_ms=-1), "init_duration_ms=-1 is not a duration"),
        (lambda: UNTYPED.suppressed_init(init_duration_ms=None), "init_duration_ms=None is not a duration"),
        (lambda: UNTYPED.restore(restore_duration_ms="1"), "restore_duration_ms='1' is not a duration"),
        (lambda: UNTYPED.cold_start(initialization_type="cold"), "initialization_type='cold' is not known"),
        (lambda: UNTYPED.invocation(initialization_type="cold"), "initialization_type='cold' is not known"),
        (lambda: UNTYPED.suppressed_init(init_status="success"), "init_status='success' is not known to Lambda"),
        (lambda: UNTYPED.invocation(memory_mb="128"), "memory_mb='128' is not a count"),
        (lambda: UNTYPED.cold_start(memory_mb="128"), "memory_mb='128' is not a count"),
    ],
)
def test_options_that_cannot_be(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"^Script\.invocation has no option 'timeout_ms'; it has status, "):
        Script.invocation(timeout_ms=3)  # type: ignore[call-arg]  # this must fail


CAPTURE = [
    {"time": "2024-01-01T00:00:00.000Z", "type": "platform.initStart", "record": {"phase": "init", "novel": [1, None]}},
    {"time": "2024-01-01T00:00:00.250123456Z", "type": "platform.novel", "record": 3, "beside": True},
    {"time": "2024-01-01T00:00:00.100Z", "type": "function", "record": "late, naïve"},
    {"time": "2024-01-01T01:00:01.000+01:00", "type": "extension", "record": {"spans": [{"name": "x"}]}},
]
LINES = [json.dumps(event, ensure_ascii=False) for event in CAPTURE]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "\r\n\n".join(LINES) + "\n\n",
        "\ufeff" + "\n".join(LINES),
        f"[{LINES[0]},{LINES[1]}]\n[]\n{LINES[2]}\n[{LINES[3]}]\n",
    ],
    ids=["events", "blank lines", "byte order mark", "batches"],
)
def test_a_capture_is_replayed_at_its_own_timestamps(tmp_path: Path, text: str) -> None:
    path = tmp_path / "capture.ndjson"
    path.write_bytes(text.encode())
    script = Script.from_ndjson(path)
    assert [step.offset_ms for step in script.steps] == [0, 250.123, 250.123, 1000]
    assert [resolve(step.action, TIME) for step in script.steps if isinstance(step.action, Event)] == CAPTURE


def test_an_empty_capture_is_an_empty_script(tmp_path: Path) -> None:
    path = tmp_path / "capture.ndjson"
    path.touch()
    assert Script.from_ndjson(str(path)) == Script()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"time":', "Expecting value"),
        (b"3", "3 is not an event"),
        (b'[["x"]]', "['x'] is not an event"),
        (b'{"time":"2024-01-01T00:00:00Z","record":1}', 'an event\'s "type" is a non-empty str'),
        (b'{"type":"function","record":"x"}', "this 'function' event has no \"time\""),
        (b'{"time":"noon","type":"function","record":"x"}', "Invalid isoformat string: 'noon'"),
        (b'{"time":"2024-01-01T00:00:00","type":"function","record":"x"}', "no time zone in"),
        (b'{"time":"2024-01-01T00:00:00Z","type":"function","record":NaN}', "NaN is not JSON"),
        (b'{"time":"\xff"}', "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    path = tmp_path / "capture.ndjson"
    path.write_bytes(f"{LINES[0]}\n\n".encode() + line + b"\n")
    with pytest.raises(MisuseError) as caught:
        Script.from_ndjson(path)
    assert str(caught.value).startswith(f"{path}, line 3: {why}")


def test_a_capture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"^cannot read the recording '.*absent.ndjson': "):
        Script.from_ndjson(tmp_path / "absent.ndjson")
