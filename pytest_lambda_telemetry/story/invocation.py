"""What Lambda tells of an invocation: facts in, events and steps out.

Sources: event schema reference; two captures of the live service of 2026-07-28; Lambda Managed Instances for what is
different there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import cast

from .. import events
from ..model.event import Event
from ..protocol import schema
from ..protocol.fields import DERIVED, overhead_spans, response_spans
from ..protocol.schema import Status
from .init import traced
from .steps import Action, Freeze, Invoke

_USUAL_MB = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """One invocation: whose it is, and what its events have in common.

    `trace` is the value of the trace header, None for one made of the request id. The events have `tracing` where it
    is given or the function is `traced`; INVOKE has it always (Extensions API). `managed`: on Lambda Managed
    Instances, which send no INVOKE and no runtimeDone, and are never frozen.
    """

    request_id: str
    tenant_id: str | None = None
    trace: str | None = None
    traced: bool = False
    function_version: str = "$LATEST"
    function_arn: str = schema.function_arn("test-function")
    timeout_ms: float = 3000.0
    memory_mb: int = 128
    max_memory_used_mb: int | None = None
    managed: bool = False

    @property
    def header(self) -> str:
        """The trace header's value, which INVOKE and the events share."""
        return self.trace or schema.trace_header(self.request_id)

    @property
    def _tracing(self) -> schema.Tracing | None:
        return traced(self.request_id, self.header if self.traced else self.trace)

    def begun(self) -> list[Action]:
        """INVOKE and platform.start."""
        started = events.platform_start(
            request_id=self.request_id,
            version=self.function_version,
            function_arn=self.function_arn,
            tenant_id=self.tenant_id,
            tracing=self._tracing,
        )
        invoke = Invoke(request_id=self.request_id, deadline_ms=self.timeout_ms, tracing=self.header)
        return [started] if self.managed else [invoke, started]

    def runtime_done(self, status: Status, error_type: str | None, ran_ms: float) -> list[Event]:
        """platform.runtimeDone, after the function ran for `ran_ms`."""
        if self.managed:
            return []
        done = events.platform_runtime_done(
            request_id=self.request_id,
            status=status,
            error_type=error_type or DERIVED,
            duration_ms=ran_ms,
            tenant_id=self.tenant_id,
            tracing=self._tracing,
        )
        return [done]

    def report(
        self,
        status: Status,
        error_type: str | None,
        ran_ms: float,
        overhead_ms: float | None = None,
        *,
        before_ms: float = 0.0,
        used_mb: int | None = None,
        init_duration_ms: float | None = None,
        restore_duration_ms: float | None = None,
    ) -> Event:
        """platform.report: the function ran for `ran_ms`, extensions went on for `overhead_ms`.

        None is for no extensions, or an invocation that was cut short: the report then has no span. `before_ms` is what
        was done within the invocation before its start; `used_mb` overrides the memory used.
        """
        if self.managed:
            overhead_ms = None
            spans = response_spans(ran_ms) if status == "success" else None
        else:
            spans = None if overhead_ms is None else overhead_spans(overhead_ms)
        return events.platform_report(
            request_id=self.request_id,
            status=status,
            error_type=error_type or DERIVED,
            duration_ms=round(before_ms + ran_ms + (overhead_ms or 0.0), 3),
            billed_duration_ms=None if self.managed else DERIVED,
            memory_size_mb=None if self.managed else self.memory_mb,
            max_memory_used_mb=None if self.managed else self._used_mb(used_mb),
            init_duration_ms=init_duration_ms,
            restore_duration_ms=restore_duration_ms,
            billed_restore_duration_ms=None if restore_duration_ms is None else ceil(restore_duration_ms),
            spans=spans,
            tenant_id=self.tenant_id,
            tracing=self._tracing,
        )

    def closed(self) -> list[Action]:
        """The freeze behind the report."""
        return [] if self.managed else [Freeze()]

    def _used_mb(self, used_mb: int | None) -> int:
        if used_mb is not None:
            return used_mb
        return min(_USUAL_MB, self.memory_mb) if self.max_memory_used_mb is None else self.max_memory_used_mb


def warm(report: Event) -> Event:
    """A report of the invocation that caused the init, where an earlier one has."""
    record = cast(Mapping[str, object], report.record)
    metrics = {**cast(Mapping[str, float], record["metrics"])}
    del metrics["initDurationMs"]
    return replace(report, record={**record, "metrics": {**metrics, "billedDurationMs": ceil(metrics["durationMs"])}})
