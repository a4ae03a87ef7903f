"""The ready-made scripts: whole lifecycles of an execution environment, in the order in which Lambda reports them.

Sources: Lambda Telemetry API guide and event schema reference; AWS's runtime interface emulator for the order of a
cold start; what the live service was seen to do where a method says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from math import ceil
from typing import Literal, Self, TypedDict, Unpack, get_args

from . import events
from .model.errors import MisuseError
from .model.event import Event, Record
from .protocol import schema
from .protocol.fields import DERIVED, listed, number, overhead_spans, response_spans, whole
from .protocol.schema import InitializationType, Phase, Status
from .protocol.steps import Action, EndInit, Flush, Freeze, Invoke, Shutdown

Log = Record | Event
"""A log of a ready-made script: a line or object of the function's, or an event, such as `events.extension(…)`."""

Timed = tuple[float, Action]
_MANAGED = "lambda-managed-instances"


class InvocationOptions(TypedDict, total=False):
    """What every script with an invocation takes: see Script.invocation."""

    request_id: str
    duration_ms: float
    logs: Sequence[Log]
    overhead_ms: float
    timeout_s: float
    memory_mb: int
    max_memory_used_mb: int
    function_name: str
    function_version: str
    tenant_id: str | None
    tracing: str


def _spread(logs: Sequence[Log], start: float, end: float) -> list[Timed]:
    """The logs at equal distances between two moments."""
    if isinstance(logs, str | Mapping) or not isinstance(logs, Sequence):
        raise MisuseError(f"logs={logs!r} is not a list; pass a list of lines, objects or events")
    gap = (end - start) / (len(logs) + 1)
    return [
        (start + gap * place, log if isinstance(log, Event) else events.function(log))
        for place, log in enumerate(logs, start=1)
    ]


@dataclass(frozen=True, slots=True)
class _Invocation:
    """One invocation that begins at `start`; the fields after it are the InvocationOptions."""

    start: float
    managed: bool = False
    _: KW_ONLY
    request_id: str = schema.request_id()
    duration_ms: float = 100.0
    logs: Sequence[Log] = ()
    overhead_ms: float = 1.5
    timeout_s: float = 3.0
    memory_mb: int = 128
    max_memory_used_mb: int | None = None
    function_name: str = "test-function"
    function_version: str = "$LATEST"
    tenant_id: str | None = None
    tracing: str | None = None

    def __post_init__(self) -> None:
        for name in ("duration_ms", "overhead_ms", "timeout_s"):
            number(name, getattr(self, name))
        whole("memory_mb", self.memory_mb)
        if self.duration_ms > self.timeout_s * 1000:
            raise MisuseError(
                f"duration_ms={self.duration_ms:g} is longer than timeout_s={self.timeout_s:g} allows;"
                " raise timeout_s, or use Script.timeout"
            )

    @property
    def done(self) -> float:
        return self.start + self.duration_ms

    def begun(self) -> list[Timed]:
        """INVOKE, platform.start and the logs. Managed Instances send no INVOKE."""
        header = self.tracing or schema.trace_header(self.request_id)
        deadline = self.timeout_s * 1000
        invoke = Invoke(request_id=self.request_id, deadline_ms=deadline, tracing=header)
        started = events.platform_start(
            request_id=self.request_id,
            version=self.function_version,
            function_arn=schema.function_arn(self.function_name),
            tenant_id=self.tenant_id,
            tracing=self._tracing(),
        )
        opening: list[Timed] = [] if self.managed else [(self.start, invoke)]
        return [*opening, (self.start, started), *_spread(self.logs, self.start, self.done)]

    def runtime_done(self, status: Status = "success", error_type: str | None = None) -> list[Timed]:
        """platform.runtimeDone, which Managed Instances do not have."""
        if self.managed:
            return []
        done = events.platform_runtime_done(
            request_id=self.request_id,
            status=status,
            error_type=error_type or DERIVED,
            duration_ms=self.duration_ms,
            tenant_id=self.tenant_id,
            tracing=self._tracing(),
        )
        return [(self.done, done)]

    def report(
        self,
        status: Status = "success",
        error_type: str | None = None,
        *,
        overhead_ms: float | None = None,
        used_mb: int | None = None,
        before_ms: float = 0.0,
        init_duration_ms: float | None = None,
        restore_duration_ms: float | None = None,
    ) -> Timed:
        """platform.report, after the overhead; `before_ms` is what was done within the invocation before its start."""
        overhead = self.overhead_ms if overhead_ms is None else overhead_ms
        spans = overhead_spans(overhead) if overhead else None
        if self.managed:
            overhead = 0.0
            spans = response_spans(self.duration_ms)
        report = events.platform_report(
            request_id=self.request_id,
            status=status,
            error_type=error_type or DERIVED,
            duration_ms=round(before_ms + self.duration_ms + overhead, 3),
            billed_duration_ms=None if self.managed else DERIVED,
            memory_size_mb=None if self.managed else self.memory_mb,
            max_memory_used_mb=None if self.managed else used_mb or self._used_mb(),
            init_duration_ms=init_duration_ms,
            restore_duration_ms=restore_duration_ms,
            billed_restore_duration_ms=None if restore_duration_ms is None else ceil(restore_duration_ms),
            spans=spans,
            tenant_id=self.tenant_id,
            tracing=self._tracing(),
        )
        return self.done + overhead, report

    def _used_mb(self) -> int:
        return min(64, self.memory_mb) if self.max_memory_used_mb is None else self.max_memory_used_mb

    def _tracing(self) -> schema.Tracing | str:
        return self.tracing or schema.tracing(self.request_id)


def _initialized(
    begin: float,
    duration_ms: float,
    of: _Invocation,
    *,
    logs: Sequence[Log],
    extensions: Sequence[str],
    initialization_type: InitializationType = "on-demand",
    phase: Phase = "init",
    state: str = "Subscribed",
    status: Status = "success",
    error_type: str | None = None,
) -> list[Timed]:
    """An initialization from initStart to initReport. One that fails leaves no extension ready and init open."""
    if isinstance(extensions, str):
        raise MisuseError(f"extensions={extensions!r} is not a list; pass a list of names, such as [{extensions!r}]")
    end, subscribed = begin + number("init_duration_ms", duration_ms), begin + duration_ms * 0.2
    error = error_type or DERIVED
    started = events.platform_init_start(
        initialization_type=initialization_type,
        phase=phase,
        function_name=of.function_name,
        function_version=of.function_version,
        instance_max_memory=of.memory_mb * 1024 * 1024,
    )
    done = events.platform_init_runtime_done(
        initialization_type=initialization_type, phase=phase, status=status, error_type=error
    )
    report = events.platform_init_report(
        initialization_type=initialization_type, phase=phase, status=status, error_type=error, duration_ms=duration_ms
    )
    ready: list[Timed] = []
    if status == "success":
        ready = [*((end, events.platform_extension(name=name)) for name in extensions), (end, EndInit())]
    return [
        (begin, started),
        *((subscribed, events.platform_telemetry_subscription(name=name, state=state)) for name in extensions),
        *_spread(logs, subscribed, end),
        (end, done),
        *ready,
        (end, report),
    ]


class Lifecycles:
    """The ready-made scripts, as class methods of `Script`.

    Those with an invocation take the options of `invocation`. A request id that is not given is made from a counter,
    the same in every run, and stays distinct when scripts are joined.
    """

    __slots__ = ()

    @classmethod
    def _made(cls, steps: Iterable[Timed], options: InvocationOptions) -> Self:
        """The script of these steps; its request id is ours to change unless the options give it."""
        raise NotImplementedError

    @classmethod
    def initialization(
        cls,
        *,
        initialization_type: InitializationType = "on-demand",
        duration_ms: float = 100.0,
        logs: Sequence[Log] = (),
        extensions: Sequence[str] = ("test-extension",),
        memory_mb: int = 128,
        function_name: str = "test-function",
        function_version: str = "$LATEST",
    ) -> Self:
        """The init phase alone: initStart, a telemetrySubscription for each of `extensions`, logs, initRuntimeDone,
        their platform.extension, initReport. Init is over at its end."""
        of = _Invocation(0.0, memory_mb=memory_mb, function_name=function_name, function_version=function_version)
        kind = initialization_type
        steps = _initialized(0.0, duration_ms, of, logs=logs, extensions=extensions, initialization_type=kind)
        return cls._made(steps, {})

    @classmethod
    def cold_start(
        cls,
        *,
        initialization_type: InitializationType = "on-demand",
        init_duration_ms: float = 100.0,
        init_logs: Sequence[Log] = (),
        extensions: Sequence[str] = ("test-extension",),
        **options: Unpack[InvocationOptions],
    ) -> Self:
        """Initialization, then the first invocation.

        Only an on-demand initialization is caused by the invocation: its report alone has `initDurationMs`.
        """
        of = _Invocation(init_duration_ms, initialization_type == _MANAGED, **options)
        caused, kind = init_duration_ms if initialization_type == "on-demand" else None, initialization_type
        first = _initialized(0.0, init_duration_ms, of, logs=init_logs, extensions=extensions, initialization_type=kind)
        ending = _closed(of, of.report(init_duration_ms=caused))
        return cls._made([*first, *of.begun(), *of.runtime_done(), *ending], options)

    @classmethod
    def invocation(
        cls,
        *,
        status: Literal["success", "error"] = "success",
        error_type: str | None = None,
        initialization_type: InitializationType = "on-demand",
        **options: Unpack[InvocationOptions],
    ) -> Self:
        """A warm invocation: INVOKE, start, logs, runtimeDone after `duration_ms` [100], report after the extensions'
        `overhead_ms` [1.5], freeze.

        What a subscriber's buffer holds at the freeze comes with the next invocation, or at SHUTDOWN: with the default
        buffering of 1 s that is all of it. Extensions are expected to ask for their next event by then. For one that
        waits for runtimeDone first, give it time to arrive: an `overhead_ms` as long as its buffering's `timeoutMs`.

        `status="error"` is a function that raised, with `error_type`. Further options: `request_id`, `logs` [()],
        `timeout_s` [3.0], `memory_mb` [128], `max_memory_used_mb` [64], `function_name`, `function_version`,
        `tenant_id`, `tracing` (the trace header's value). On `lambda-managed-instances` there is no INVOKE, no
        runtimeDone and no freeze, and the report has what it has there; see `concurrent`.
        """
        listed(get_args(InitializationType))("initialization_type", initialization_type)
        if status not in ("success", "error"):
            raise MisuseError(
                f'status={status!r}: an invocation that returns is "success" or "error";'
                " for the others use Script.timeout, Script.crash or Script.out_of_memory"
            )
        of = _Invocation(0.0, initialization_type == _MANAGED, **options)
        outcome = of.report(status, error_type)
        return cls._made([*of.begun(), *of.runtime_done(status, error_type), *_closed(of, outcome)], options)

    @classmethod
    def timeout(cls, **options: Unpack[InvocationOptions]) -> Self:
        """An invocation that runs into the function's `timeout_s` [3.0], then SHUTDOWN with reason "timeout"."""
        if "duration_ms" in options:
            raise MisuseError("duration_ms with Script.timeout: the invocation lasts timeout_s; leave duration_ms out")
        options["duration_ms"] = number("timeout_s", options.get("timeout_s", 3.0)) * 1000
        of = _Invocation(0.0, **options)
        ending: list[Timed] = [of.report("timeout", overhead_ms=0), (of.done, Shutdown("timeout"))]
        return cls._made([*of.begun(), *of.runtime_done("timeout"), *ending], options)

    @classmethod
    def crash(cls, *, error_type: str = "Runtime.ExitError", **options: Unpack[InvocationOptions]) -> Self:
        """The runtime dies after `duration_ms`: what is buffered is flushed, then SHUTDOWN with reason "failure"."""
        of = _Invocation(0.0, **options)
        return cls._made([*of.begun(), *_broken(of, error_type)], options)

    @classmethod
    def out_of_memory(cls, **options: Unpack[InvocationOptions]) -> Self:
        """As `crash`, for want of memory: `Runtime.OutOfMemory`, and all of `memory_mb` used.

        Status "error" is what the live service was seen to send (DataDog/datadog-lambda-extension pull 776).
        """
        if "max_memory_used_mb" in options:
            raise MisuseError("max_memory_used_mb with Script.out_of_memory: all of memory_mb is used; leave it out")
        of = _Invocation(0.0, **options)
        return cls._made([*of.begun(), *_broken(of, "Runtime.OutOfMemory", of.memory_mb)], options)

    @classmethod
    def suppressed_init(
        cls,
        *,
        init_status: Literal["error", "failure", "timeout"] = "error",
        init_error_type: str | None = None,
        init_duration_ms: float = 100.0,
        init_logs: Sequence[Log] = (),
        extensions: Sequence[str] = ("test-extension",),
        **options: Unpack[InvocationOptions],
    ) -> Self:
        """An initialization that fails and is repeated, with phase "invoke", as part of the first invocation.

        The extensions' second subscription is "Already subscribed", as in a public capture of 2023-02-10. The
        repetition takes as long as the first try and counts in the invocation's duration.
        """
        listed(("error", "failure", "timeout"))("init_status", init_status)
        of = _Invocation(2 * number("init_duration_ms", init_duration_ms), **options)
        first = _initialized(
            0.0,
            init_duration_ms,
            of,
            logs=init_logs,
            extensions=extensions,
            status=init_status,
            error_type=init_error_type,
        )
        second = _initialized(
            init_duration_ms,
            init_duration_ms,
            of,
            logs=init_logs,
            extensions=extensions,
            phase="invoke",
            state="Already subscribed",
        )
        ending = _closed(of, of.report(before_ms=init_duration_ms))
        return cls._made([*first, *second, *of.begun(), *of.runtime_done(), *ending], options)

    @classmethod
    def restore(
        cls,
        *,
        restore_duration_ms: float = 80.0,
        restore_logs: Sequence[Log] = (),
        **options: Unpack[InvocationOptions],
    ) -> Self:
        """A SnapStart environment comes back from its snapshot, then its first invocation.

        It was initialized, and its extensions subscribed, before the snapshot was taken.
        """
        end = number("restore_duration_ms", restore_duration_ms)
        options.setdefault("function_version", "1")
        of = _Invocation(end, **options)
        started = events.platform_restore_start(
            function_name=of.function_name,
            function_version=of.function_version,
            instance_max_memory=of.memory_mb * 1024 * 1024,
        )
        restored: list[Timed] = [
            (0.0, EndInit()),
            (0.0, started),
            *_spread(restore_logs, 0.0, end),
            (end, events.platform_restore_runtime_done()),
            (end, events.platform_restore_report(duration_ms=end)),
        ]
        ending = _closed(of, of.report(restore_duration_ms=end))
        return cls._made([*restored, *of.begun(), *of.runtime_done(), *ending], options)


def _closed(of: _Invocation, report: Timed) -> list[Timed]:
    """The report, and the freeze after it. Managed Instances never freeze."""
    return [report] if of.managed else [report, (report[0], Freeze())]


def _broken(of: _Invocation, error_type: str, used_mb: int | None = None) -> list[Timed]:
    """The runtime is gone: nothing more comes from it, and the environment ends."""
    return [
        *of.runtime_done("error", error_type),
        of.report("error", error_type, overhead_ms=0, used_mb=used_mb),
        (of.done, Flush()),
        (of.done, Shutdown("failure")),
    ]
