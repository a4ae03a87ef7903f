"""What Lambda tells of an initialization, of its repetition, and of a restore: facts in, events and steps out.

Sources: event schema reference; two captures of the live service of 2026-07-28, published with
honeycomb-lambda-extension, for what the records hold; AWS's runtime interface emulator for the order of a cold start;
a public capture of 2023-02-10 for a suppressed init.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict

from .. import events
from ..model.event import Event
from ..protocol import schema
from ..protocol.fields import DERIVED
from ..protocol.schema import InitializationType, InitPhase, LifecycleEvent, Status, TelemetryType, Tracing

ON_DEMAND = "on-demand"
MANAGED_INSTANCES = "lambda-managed-instances"
AGAIN = "Already subscribed"


class Instance(TypedDict):
    """What initStart and restoreStart say of the environment."""

    runtime_version: str
    runtime_version_arn: str
    function_name: str
    function_version: str
    instance_id: str
    instance_max_memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """One initialization. `phase` "invoke" is the repetition of one that failed, as part of the first invocation.

    `runtime` is the identifier of a Lambda runtime; `instance_id` None is one that goes with the function's version.
    `trace` is the value of the trace header where the function is traced: no event has `tracing` otherwise.
    """

    initialization_type: InitializationType = "on-demand"
    phase: InitPhase = "init"
    function_name: str = "test-function"
    function_version: str = "$LATEST"
    memory_mb: int = 128
    runtime: str = "python3.13"
    region: str = "us-east-1"
    instance_id: str | None = None
    trace: str | None = None
    status: Status = "success"
    error_type: str | None = None

    def started(self, time: str | datetime | None = None) -> Event:
        """platform.initStart."""
        return events.platform_init_start(
            initialization_type=self.initialization_type,
            phase=self.phase,
            **self._instance(),
            tracing=traced("init", self.trace),
            time=time,
        )

    def _instance(self) -> "Instance":
        version = schema.runtime_version(self.runtime)
        return {
            "runtime_version": version,
            "runtime_version_arn": schema.runtime_arn(version, self.region),
            "function_name": self.function_name,
            "function_version": self.function_version,
            "instance_id": self.instance_id or schema.instance_id(self.function_version),
            "instance_max_memory": self.memory_mb * 1024 * 1024,
        }

    def ended(self, extensions: Iterable[Event], duration_ms: float) -> list[Event]:
        """initRuntimeDone, the extensions' platform.extension, initReport: in this order."""
        kind, phase, status, error_type = self.initialization_type, self.phase, self.status, self.error_type or DERIVED
        tracing = traced("init", self.trace)
        done = events.platform_init_runtime_done(
            initialization_type=kind, phase=phase, status=status, error_type=error_type, tracing=tracing
        )
        return [done, *extensions, self._report(duration_ms)]

    def _report(self, duration_ms: float, time: datetime | None = None) -> Event:
        return events.platform_init_report(
            initialization_type=self.initialization_type,
            phase=self.phase,
            status=self.status,
            error_type=self.error_type or DERIVED,
            duration_ms=duration_ms,
            tracing=traced("init", self.trace),
            time=time,
        )

    def remembered(self, taken: datetime, duration_ms: float) -> list[Event]:
        """initStart and initReport of a snapshot that was `taken` long ago, with the timestamps they had then.

        They reach the extension after each restore (seen: DataDog/datadog-lambda-extension pull 911).
        """
        version = self.function_version
        then = replace(
            self,
            initialization_type="snap-start",
            instance_id=schema.instance_id(version, f"{taken:%Y/%m/%d}", "snapshot"),
        )
        return [then.started(taken - timedelta(milliseconds=duration_ms)), then._report(duration_ms, taken)]

    def restored(self, duration_ms: float) -> list[Event]:
        """restoreStart, then restoreRuntimeDone and restoreReport `duration_ms` later: back from a snapshot."""
        tracing = traced("restore", self.trace)
        return [
            events.platform_restore_start(**self._instance(), tracing=tracing),
            events.platform_restore_runtime_done(tracing=tracing),
            events.platform_restore_report(duration_ms=duration_ms, tracing=tracing),
        ]

    def charged_ms(self, duration_ms: float | None) -> float | None:
        """The `initDurationMs` of the first report: only an on-demand init is caused by the invocation."""
        return duration_ms if self.initialization_type == ON_DEMAND else None


def subscribed(name: str, types: Sequence[TelemetryType] | None = None, state: str = "Subscribed") -> Event:
    """platform.telemetrySubscription; without `types` all of them. Lambda sorts them (live capture)."""
    if types is None:
        return events.platform_telemetry_subscription(name=name, state=state)
    return events.platform_telemetry_subscription(name=name, state=state, types=sorted(types))


def extension_stands(
    name: str,
    state: str = "Ready",
    registered_for: Sequence[LifecycleEvent] = ("INVOKE", "SHUTDOWN"),
    error_type: str | None = None,
) -> Event:
    """platform.extension: where an extension stands at the end of init."""
    return events.platform_extension(name=name, state=state, events=registered_for, error_type=error_type)


def traced(of: str, header: str | None) -> Tracing | None:
    """The `tracing` of the events that belong to a request id, or to a phase; None where the function is not traced."""
    return None if header is None else {**schema.tracing(of), "value": header}
