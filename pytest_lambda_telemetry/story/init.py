"""What Lambda tells of an initialization, of its repetition, and of a restore: facts in, events and steps out.

Sources: event schema reference; AWS's runtime interface emulator for the order of a cold start; a public capture of
2023-02-10 for a suppressed init.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import events
from ..model.event import Event
from ..protocol.fields import DERIVED
from ..protocol.schema import InitializationType, InitPhase, LifecycleEvent, Status, TelemetryType

ON_DEMAND = "on-demand"
MANAGED_INSTANCES = "lambda-managed-instances"


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """One initialization. `phase` "invoke" is the repetition of one that failed, as part of the first invocation."""

    initialization_type: InitializationType = "on-demand"
    phase: InitPhase = "init"
    function_name: str = "test-function"
    function_version: str = "$LATEST"
    memory_mb: int = 128
    status: Status = "success"
    error_type: str | None = None

    def started(self) -> Event:
        """platform.initStart."""
        return events.platform_init_start(
            initialization_type=self.initialization_type,
            phase=self.phase,
            function_name=self.function_name,
            function_version=self.function_version,
            instance_max_memory=memory_bytes(self.memory_mb),
        )

    def ended(self, extensions: Iterable[Event], duration_ms: float) -> list[Event]:
        """initRuntimeDone, the extensions' platform.extension, initReport: in this order."""
        kind, phase, status, error_type = self.initialization_type, self.phase, self.status, self.error_type or DERIVED
        return [
            events.platform_init_runtime_done(
                initialization_type=kind, phase=phase, status=status, error_type=error_type
            ),
            *extensions,
            events.platform_init_report(
                initialization_type=kind, phase=phase, status=status, error_type=error_type, duration_ms=duration_ms
            ),
        ]

    def charged_ms(self, duration_ms: float | None) -> float | None:
        """The `initDurationMs` of the first report: only an on-demand init is caused by the invocation."""
        return duration_ms if self.initialization_type == ON_DEMAND else None


def subscribed(name: str, types: Sequence[TelemetryType] | None = None, state: str = "Subscribed") -> Event:
    """platform.telemetrySubscription; without `types` all of them."""
    if types is None:
        return events.platform_telemetry_subscription(name=name, state=state)
    return events.platform_telemetry_subscription(name=name, state=state, types=types)


def extension_stands(
    name: str,
    state: str = "Ready",
    registered_for: Sequence[LifecycleEvent] = ("INVOKE", "SHUTDOWN"),
    error_type: str | None = None,
) -> Event:
    """platform.extension: where an extension stands at the end of init."""
    return events.platform_extension(name=name, state=state, events=registered_for, error_type=error_type)


def restored(duration_ms: float, *, function_name: str, function_version: str, memory_mb: int) -> list[Event]:
    """restoreStart, then restoreRuntimeDone and restoreReport `duration_ms` later."""
    return [
        events.platform_restore_start(
            function_name=function_name,
            function_version=function_version,
            instance_max_memory=memory_bytes(memory_mb),
        ),
        events.platform_restore_runtime_done(),
        events.platform_restore_report(duration_ms=duration_ms),
    ]


def memory_bytes(memory_mb: int) -> int:
    """What initStart and restoreStart call instanceMaxMemory."""
    return memory_mb * 1024 * 1024
