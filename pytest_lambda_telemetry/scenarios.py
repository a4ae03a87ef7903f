"""The catalogue of production behaviours: what Lambda, and the world behind it, does that broke real extensions.

`scenarios.ALL` has all of them, `plain` first; each is there by its name too: `scenarios.late_report`. Adding one is
adding a row. Sources: AWS's documentation, and reports of extensions in the field.
"""

from collections.abc import Mapping

from .story import changes
from .story.init import MANAGED_INSTANCES
from .story.scenario import FailBackend, FailDelivery, Scenario

_MANAGED: Mapping[str, object] = {"initialization_type": MANAGED_INSTANCES}
_PLATFORM: Mapping[str, object] = {"platform_events": True}

ALL: tuple[Scenario, ...] = (
    Scenario(name="plain", summary="Nothing is changed: the test as it is."),
    Scenario(
        name="listener-down",
        summary="The first three attempts at a delivery are refused, as if nobody listened yet; they come again.",
        broke="what was buffered until then comes late, and is taken for old",
        source="AWS, Telemetry API reference: retries; elastic/apm-aws-lambda 386",
        plan=[FailDelivery(fault="refuse", times=3)],
    ),
    Scenario(
        name="acknowledgement-lost",
        summary="A batch with lines of the function arrives, its acknowledgement is lost, and it comes again.",
        broke="the batch was sent on twice",
        source="AWS, Telemetry API reference: retries; newrelic-lambda-extension 161",
        plan=[FailDelivery(fault="lost-answer", types=("function",))],
    ),
    Scenario(
        name="connection-reset",
        summary="A delivery breaks off in the middle of its body, and comes again.",
        broke="a listener that reads half a body and dies of it",
        source="AWS, Telemetry API reference: retries",
        plan=[FailDelivery(fault="reset", types=("function",))],
    ),
    Scenario(
        name="slow-start",
        summary="Init takes eight seconds longer, the function logs during it, and much telemetry waits for Subscribe.",
        broke="lines of the function before the first invocation, which belong to no request id",
        source="AWS's runtime interface emulator; DataDog/datadog-lambda-extension pull 1357",
        settings=_PLATFORM,
        story={"init-begun": changes.logs_during_init, "init-ends": changes.long_init},
    ),
    Scenario(
        name="split-record",
        summary="A record is cut in two, each half in a body that is no JSON; the second repeats time and type.",
        broke="the listener dropped whole batches, platform.runtimeDone with them, and held invocations until time-out",
        source="DataDog/datadog-lambda-extension pull 1357",
        plan=[FailDelivery(fault="split", types=("function",))],
    ),
    Scenario(
        name="json-logs",
        summary="The log format is JSON: a line of the function comes as the object that a managed runtime writes.",
        broke="records were uploaded as one opaque string",
        source="honeycombio/honeycomb-lambda-extension pull 173",
        settings={"log_format": "JSON"},
        story={"logs": changes.as_json},
    ),
    Scenario(
        name="odd-records",
        summary="Records that are null, numbers and arrays, an unknown event type and unknown fields come in between.",
        broke="a listener that cannot parse a batch answers 4xx, and the same batch comes back for ever; a panic",
        source="honeycombio/honeycomb-lambda-extension pull 176; aws-lambda-rust-runtime; serverless/dashboard 109",
        story={"logs": changes.odd_logs, "report": changes.odd_report},
    ),
    Scenario(
        name="late-report",
        summary="The environment freezes as soon as the runtime is done: runtimeDone and report come with the next"
        " invocation, or at shutdown.",
        broke="what belonged to an invocation was dropped when the next one began, and the last report was lost",
        source="elastic/apm-aws-lambda 334, pull 347",
        not_with=_MANAGED,
        story={"runtime-done": changes.logs_then_frozen},
    ),
    Scenario(
        name="telemetry-before-invoke",
        summary="platform.start and the function's lines are delivered before INVOKE is handed out.",
        broke="handlers race: telemetry of an invocation that the extension does not know yet",
        source="zakharovvi, serverless/dashboard",
        not_with=_MANAGED,
        story={"invocation-begun": changes.telemetry_first},
    ),
    Scenario(
        name="logs-dropped",
        summary="A platform.logsDropped comes behind the function's lines.",
        broke="a platform event without a requestId",
        source="AWS, Telemetry API event schema",
        story={"logs": changes.dropped},
    ),
    Scenario(
        name="burst",
        summary="The function's lines are in a batch of nearly 2 * maxBytes.",
        broke="413 from the extension's own web framework",
        source="DataDog/datadog-lambda-extension pull 1357 (2 MiB default of axum)",
        story={"logs": changes.burst},
    ),
    Scenario(
        name="suppressed-init",
        summary='Init fails, and is repeated with phase "invoke": initStart comes again, Already subscribed.',
        broke="init was counted twice",
        source="a public capture of 2023-02-10",
        settings={**_PLATFORM, "initialization_type": "on-demand"},
        story={"init-ended": changes.init_again},
    ),
    Scenario(
        name="provisioned-concurrency",
        summary="Init was an hour before the first invocation, and no report has initDurationMs.",
        broke="a report without initDurationMs",
        source="AWS, Telemetry API event schema",
        settings={"initialization_type": "provisioned-concurrency"},
        story={"init-ended": changes.long_before},
    ),
    Scenario(
        name="snap-start",
        summary="The environment is restored from a snapshot, whose own initStart and initReport come too, with old"
        " timestamps.",
        broke="init was counted twice, durations were negative",
        source="DataDog/datadog-lambda-extension pull 911",
        settings={**_PLATFORM, "initialization_type": "snap-start"},
        story={
            "init-ended": changes.long_before,
            "invocation-begun": changes.first(changes.restored),
            "report": changes.first(changes.restore_reported),
        },
    ),
    Scenario(
        name="managed-instances",
        summary="Managed Instances: no INVOKE, no runtimeDone, never frozen, another invocation at the same time.",
        broke="init crashed: registered for INVOKE, subscribed with an older schema version or the Logs API",
        source="honeycomb-lambda-extension 170, newrelic-lambda-extension 79, sumologic 30, opentelemetry-lambda 2083",
        settings={"initialization_type": MANAGED_INSTANCES},
        story={name: changes.beside(name) for name in ("invocation-begun", "logs", "report")},
    ),
    Scenario(
        name="durable-function",
        summary="The function waits: the invocation ends, and goes on an hour later under the same request id.",
        broke="extensions that take a request id for one invocation",
        source="DataDog/datadog-lambda-extension, processor.rs",
        settings={"runtime": "python3.14.DurableFunction", "initialization_type": "on-demand"},
        story={"logs": changes.in_pieces},
    ),
    Scenario(
        name="function-error",
        summary="The first invocation ends with status error, and an errorType.",
        broke="what is sent on for invocations that succeed only",
        source="AWS, Telemetry API event schema",
        story={"runtime-done": changes.first(changes.failed), "report": changes.first(changes.failed)},
    ),
    Scenario(
        name="function-timeout",
        summary="The first invocation runs into its time-out: SHUTDOWN timeout, then a new environment.",
        broke="the last lines, and the last report, were lost",
        source="AWS, Extensions API; elastic/apm-aws-lambda 360",
        not_with=_MANAGED,
        story={"runtime-done": changes.first(changes.timed_out), "report": changes.first(changes.timed_out_and_over)},
    ),
    Scenario(
        name="out-of-memory",
        summary="The first invocation runs out of memory: SHUTDOWN failure, then a new environment.",
        broke="the last lines, and the last report, were lost",
        source="DataDog/datadog-lambda-extension pull 776; elastic/apm-aws-lambda 360",
        not_with=_MANAGED,
        story={
            "runtime-done": changes.first(changes.out_of_memory),
            "report": changes.first(changes.out_of_memory_and_over),
        },
    ),
    Scenario(
        name="shutdown-with-backlog",
        summary="Lambda freezes before anything of an invocation is delivered: what the last one logged is still"
        " buffered at shutdown.",
        broke="what the extension's own buffer held was lost",
        source="elastic/apm-aws-lambda 386, 411; AWS's sample extensions",
        not_with=_MANAGED,
        story={"runtime-done": changes.frozen_at_once},
    ),
    Scenario(
        name="idle-freeze",
        summary=f"The environment is frozen for {changes.IDLE_HOURS} hours after each invocation.",
        broke="data was older than the freeze: timers that did not run, records refused as too old",
        source="elastic/apm-aws-lambda 386",
        not_with=_MANAGED,
        story={"freeze": changes.idle},
    ),
    Scenario(
        name="backend-down",
        summary="The backend answers 503 to the first three requests.",
        broke="data was lost: no retry, or a 5xx taken for success",
        source="newrelic-lambda-extension 41, 119",
        plan=[FailBackend(fault=503, times=3)],
    ),
    Scenario(
        name="backend-slow",
        summary="The backend answers the first request a quarter of a second late.",
        broke="time-outs that are too short, and retries that double what was taken",
        source="newrelic-lambda-extension 161",
        plan=[FailBackend(fault="slow", delay_ms=250)],
    ),
    Scenario(
        name="backend-hangs-at-shutdown",
        summary="What the last invocation logged is still buffered at shutdown, and the first request to the backend"
        " during it gets no answer for a second, then a reset; another one is answered.",
        broke="the last batch was lost, or doubled by a retry",
        source="newrelic-lambda-extension 41, 119, 161; elastic/apm-aws-lambda 334, 360, 411",
        not_with=_MANAGED,
        plan=[FailBackend(fault="hang", delay_ms=1_000, at_shutdown=True)],
        story={"runtime-done": changes.frozen_at_once},
    ),
    Scenario(
        name="stale-connections",
        summary="Connections to the backend that are kept over a freeze are dead after it, and no reset tells of it.",
        broke="requests failed at thaw, data came late or never",
        source="DataDog/datadog-lambda-extension 1092 (fixed twice: 1094, 1248); aws-lambda-rust-runtime 837",
        not_with=_MANAGED,
        plan=[FailBackend(fault="timeout", times=None, kept=True)],
    ),
    Scenario(
        name="observed",
        summary='fidelity="observed": where the live service and its documentation disagree, the live service.',
        broke="error types, answers and defaults that only the documentation has",
        source="the table of differences under Fidelity in the README",
        settings={"fidelity": "observed"},
    ),
)
"""All of them, plain first."""

BY_NAME: Mapping[str, Scenario] = {one.name: one for one in ALL}


def __getattr__(name: str) -> Scenario:
    found = BY_NAME.get(name.replace("_", "-"))
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; scenarios: {', '.join(BY_NAME)}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *(name.replace("-", "_") for name in BY_NAME)})
