"""The ready-made scripts: whole lifecycles of an execution environment, in the order in which Lambda reports them.

What is told is `init`'s, `invocation`'s and `endings`'; here it gets its moments. Sources: theirs, and what the live
service was seen to do where a method says so.
"""

import inspect
from collections.abc import Iterable, Sequence, Set
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import Literal, Self, TypedDict, Unpack, get_args

from .. import events
from ..model.checks import is_list, is_one_of, repr_of, require_options, texts
from ..model.errors import MisuseError
from ..model.event import Event, Log
from ..protocol import schema
from ..protocol.fields import listed, number, text, time_of, whole
from ..protocol.projection import moment
from ..protocol.schema import InitializationType, Status
from . import endings
from .init import AGAIN, MANAGED_INSTANCES, Init, extension_stands, subscribed
from .invocation import Invoked
from .steps import Action, EndInit, Part

Timed = tuple[float, Action, Part | None]

DEFAULT_RUNTIME = "python3.13"


class ScriptOptions(TypedDict, total=False):
    """What every script with an invocation takes, all by name: see Script.invocation."""

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
    runtime: str


def _check_options(script: str, given: Set[str]) -> None:
    """Raise MisuseError for an option that does not exist, with those that do."""
    if given - ScriptOptions.__annotations__.keys():
        taken = inspect.signature(getattr(Lifecycles, script)).parameters.values()
        own = [one.name for one in taken if one.kind is one.KEYWORD_ONLY]
        require_options(f"Script.{script}", given, [*own, *ScriptOptions.__annotations__])


def _spread(logs: Sequence[Log], start: float, end: float) -> list[Timed]:
    """The logs at equal distances between two moments."""
    if not is_list(logs):
        raise MisuseError(f"logs={repr_of(logs)} is not a list; pass a list of lines, objects or events")
    logs = list(logs)
    gap = (end - start) / (len(logs) + 1)
    return [
        (start + gap * place, log if isinstance(log, Event) else events.function(log), None)
        for place, log in enumerate(logs, start=1)
    ]


def _check_runtime(runtime: object) -> None:
    if not isinstance(runtime, str) or not schema.RUNTIME.fullmatch(runtime):
        raise MisuseError(
            f"runtime={repr_of(runtime)} is no Lambda runtime; pass an identifier, such as {DEFAULT_RUNTIME!r}"
        )


def _at(offset_ms: float, actions: Iterable[Action], part: Part | None = None) -> list[Timed]:
    return [(offset_ms, action, part) for action in actions]


@dataclass(frozen=True, slots=True)
class _Invocation:
    """One invocation that begins at `start`; the fields after it are the ScriptOptions."""

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
    runtime: str = DEFAULT_RUNTIME

    def __post_init__(self) -> None:
        for name in ("duration_ms", "overhead_ms", "timeout_s"):
            number(name, getattr(self, name))
        whole("memory_mb", self.memory_mb)
        for name in ("request_id", "function_name", "function_version"):
            text(name, getattr(self, name))
        _check_runtime(self.runtime)
        if self.duration_ms > self.timeout_s * 1000:
            raise MisuseError(
                f"duration_ms={self.duration_ms:g} is longer than timeout_s={self.timeout_s:g} allows;"
                " raise timeout_s, or use Script.timeout"
            )

    @property
    def done(self) -> float:
        return self.start + self.duration_ms

    @property
    def invoked(self) -> Invoked:
        return Invoked(
            request_id=self.request_id,
            tenant_id=self.tenant_id,
            trace=self.tracing,
            function_version=self.function_version,
            function_arn=schema.function_arn(self.function_name),
            timeout_ms=self.timeout_s * 1000,
            memory_mb=self.memory_mb,
            max_memory_used_mb=self.max_memory_used_mb,
            managed=self.managed,
        )

    @property
    def init(self) -> Init:
        return Init(
            function_name=self.function_name,
            function_version=self.function_version,
            memory_mb=self.memory_mb,
            runtime=self.runtime,
            trace=self.tracing,
        )

    def begun(self) -> list[Timed]:
        """INVOKE, platform.start and the logs."""
        first, *rest = self.invoked.begun()
        logs = _spread(self.logs, self.start, self.done)
        return [(self.start, first, Part.INIT_OVER), *_at(self.start, rest), *logs]

    def completed(
        self,
        status: Status = "success",
        error_type: str | None = None,
        *,
        before_ms: float = 0.0,
        init_duration_ms: float | None = None,
        restore_duration_ms: float | None = None,
    ) -> list[Timed]:
        """runtimeDone, the report after the overhead, and the freeze."""
        report = self.invoked.report(
            status,
            error_type,
            self.duration_ms,
            self.overhead_ms,
            before_ms=before_ms,
            init_duration_ms=init_duration_ms,
            restore_duration_ms=restore_duration_ms,
        )
        reported = self.done + (0.0 if self.managed else self.overhead_ms)
        runtime_done = self.invoked.runtime_done(status, error_type, self.duration_ms)
        first = None if init_duration_ms is None else Part.FIRST_REPORT
        closed = self.invoked.closed()
        return [*_at(self.done, runtime_done), (reported, report, first), *_at(reported, closed)]


def _initialized(
    begin: float,
    duration_ms: float,
    init: Init,
    *,
    logs: Sequence[Log],
    extensions: Sequence[str],
    again: bool = False,
) -> list[Timed]:
    """An initialization from initStart to initReport. One that fails leaves no extension ready and init open."""
    names = texts("extensions", extensions, "names")
    end, subscribing = begin + number("init_duration_ms", duration_ms), begin + duration_ms * 0.2
    good = init.status == "success"
    state, subscription = ("Subscribed", Part.SUBSCRIPTION) if not again else (AGAIN, Part.SUBSCRIPTION_AGAIN)
    done, *standing, report = init.ended([extension_stands(name) for name in names if good], duration_ms)
    return [
        (begin, init.started(), Part.REST if again else Part.INIT_START),
        *_at(subscribing, [subscribed(name, state=state) for name in names], subscription),
        *_spread(logs, subscribing, end),
        (end, done, Part.INIT_DONE if good else Part.REST),
        *_at(end, standing, Part.EXTENSION),
        *_at(end, [EndInit()] if good else []),
        (end, report, Part.REST),
    ]


class Lifecycles:
    """The ready-made scripts, as class methods of `Script`.

    Those with an invocation take the options of `invocation`. A request id that is not given is made from a counter,
    the same in every run, and stays distinct when scripts are joined. `extensions` are the names in a script that is
    played where no extension has registered by itself; where one has, the script names those that are there.
    """

    __slots__ = ()

    @classmethod
    def _made(cls, steps: Iterable[Timed], options: ScriptOptions) -> Self:
        """The script of these steps; its request id is ours to change unless the options give it."""
        raise NotImplementedError  # `Script` has it: this class cannot import that one

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
        runtime: str = DEFAULT_RUNTIME,
        tracing: str | None = None,
    ) -> Self:
        """The init phase alone: initStart, a telemetrySubscription for each of `extensions`, logs, initRuntimeDone,
        their platform.extension, initReport. Init is over at its end."""
        whole("memory_mb", memory_mb)
        for name, value in (("function_name", function_name), ("function_version", function_version)):
            text(name, value)
        _check_runtime(runtime)
        init = Init(
            initialization_type=initialization_type,
            function_name=function_name,
            function_version=function_version,
            memory_mb=memory_mb,
            runtime=runtime,
            trace=tracing,
        )
        return cls._made(_initialized(0.0, duration_ms, init, logs=logs, extensions=extensions), {})

    @classmethod
    def cold_start(
        cls,
        *,
        initialization_type: InitializationType = "on-demand",
        init_duration_ms: float = 100.0,
        init_logs: Sequence[Log] = (),
        extensions: Sequence[str] = ("test-extension",),
        **options: Unpack[ScriptOptions],
    ) -> Self:
        """Initialization, then the first invocation.

        Only an on-demand initialization is caused by the invocation: its report alone has `initDurationMs`.
        """
        _check_options("cold_start", options.keys())
        of = _Invocation(init_duration_ms, initialization_type == MANAGED_INSTANCES, **options)
        init = replace(of.init, initialization_type=initialization_type)
        first = _initialized(0.0, init_duration_ms, init, logs=init_logs, extensions=extensions)
        ending = of.completed(init_duration_ms=init.charged_ms(init_duration_ms))
        return cls._made([*first, *of.begun(), *ending], options)

    @classmethod
    def invocation(
        cls,
        *,
        status: Literal["success", "error"] = "success",
        error_type: str | None = None,
        initialization_type: InitializationType = "on-demand",
        **options: Unpack[ScriptOptions],
    ) -> Self:
        """A warm invocation: INVOKE, start, logs, runtimeDone after `duration_ms` [100], report after the extensions'
        `overhead_ms` [1.5], freeze.

        What a subscriber's buffer holds at the freeze comes with the next invocation, or at SHUTDOWN: with the default
        buffering of 1 s that is all of it. Extensions are expected to ask for their next event by then. For one that
        waits for runtimeDone first, give it time to arrive: an `overhead_ms` as long as its buffering's `timeoutMs`.

        `status="error"` is a function that raised, with `error_type`. Further options: `request_id`, `logs` [()],
        `timeout_s` [3.0], `memory_mb` [128], `max_memory_used_mb` [64], `function_name`, `function_version`,
        `tenant_id`, `tracing` (the trace header's value; without it INVOKE alone has one, as where a function is not
        traced), `runtime` ["python3.13"]. On `lambda-managed-instances` there is no INVOKE, no
        runtimeDone and no freeze, and the report has what it has there; see `concurrent`.
        """
        _check_options("invocation", options.keys())
        listed(get_args(InitializationType))("initialization_type", initialization_type)
        if not is_one_of(status, ("success", "error")):
            raise MisuseError(
                f'status={repr_of(status)}: an invocation that returns is "success" or "error";'
                " for the others use Script.timeout, Script.crash or Script.out_of_memory"
            )
        of = _Invocation(0.0, initialization_type == MANAGED_INSTANCES, **options)
        return cls._made([*of.begun(), *of.completed(status, error_type)], options)

    @classmethod
    def timeout(cls, **options: Unpack[ScriptOptions]) -> Self:
        """An invocation that runs into the function's `timeout_s` [3.0], then SHUTDOWN with reason "timeout"."""
        _check_options("timeout", options.keys())
        if "duration_ms" in options:
            raise MisuseError("duration_ms with Script.timeout: the invocation lasts timeout_s; leave duration_ms out")
        options["duration_ms"] = number("timeout_s", options.get("timeout_s", 3.0)) * 1000
        of = _Invocation(0.0, **options)
        ending = endings.timed_out(of.invoked, of.duration_ms)
        return cls._made([*of.begun(), *_at(of.done, ending)], options)

    @classmethod
    def crash(cls, *, error_type: str = endings.EXIT_ERROR, **options: Unpack[ScriptOptions]) -> Self:
        """The runtime dies after `duration_ms`: what is buffered is flushed, then SHUTDOWN with reason "failure"."""
        _check_options("crash", options.keys())
        of = _Invocation(0.0, **options)
        ending = endings.broken(of.invoked, of.duration_ms, error_type)
        return cls._made([*of.begun(), *_at(of.done, ending)], options)

    @classmethod
    def out_of_memory(cls, **options: Unpack[ScriptOptions]) -> Self:
        """As `crash`, for want of memory: `Runtime.OutOfMemory`, and all of `memory_mb` used.

        Status "error" is what the live service was seen to send (DataDog/datadog-lambda-extension pull 776).
        """
        _check_options("out_of_memory", options.keys())
        if "max_memory_used_mb" in options:
            raise MisuseError("max_memory_used_mb with Script.out_of_memory: all of memory_mb is used; leave it out")
        of = _Invocation(0.0, **options)
        ending = endings.broken(of.invoked, of.duration_ms, endings.OUT_OF_MEMORY, of.memory_mb)
        return cls._made([*of.begun(), *_at(of.done, ending)], options)

    @classmethod
    def suppressed_init(
        cls,
        *,
        init_status: Literal["error", "failure", "timeout"] = "error",
        init_error_type: str | None = None,
        init_duration_ms: float = 100.0,
        init_logs: Sequence[Log] = (),
        extensions: Sequence[str] = ("test-extension",),
        **options: Unpack[ScriptOptions],
    ) -> Self:
        """An initialization that fails and is repeated, with phase "invoke", as part of the first invocation.

        The extensions' second subscription is "Already subscribed", as in a public capture of 2023-02-10. The
        repetition takes as long as the first try and counts in the invocation's duration.
        """
        _check_options("suppressed_init", options.keys())
        listed(("error", "failure", "timeout"))("init_status", init_status)
        of = _Invocation(2 * number("init_duration_ms", init_duration_ms), **options)
        failed = replace(of.init, status=init_status, error_type=init_error_type)
        again = replace(of.init, phase="invoke")
        logs, names, lasting = init_logs, extensions, init_duration_ms
        first = _initialized(0.0, lasting, failed, logs=logs, extensions=names)
        second = _initialized(lasting, lasting, again, logs=logs, extensions=names, again=True)
        ending = of.completed(before_ms=init_duration_ms)
        return cls._made([*first, *second, *of.begun(), *ending], options)

    @classmethod
    def restore(
        cls,
        *,
        restore_duration_ms: float = 80.0,
        restore_logs: Sequence[Log] = (),
        snapshot_at: str | datetime | None = None,
        init_duration_ms: float = 100.0,
        **options: Unpack[ScriptOptions],
    ) -> Self:
        """A SnapStart environment comes back from its snapshot, then its first invocation.

        It was initialized, and its extensions subscribed, before the snapshot was taken. With `snapshot_at`, the moment
        at which that was, the snapshot's own initStart and initReport come first, with the timestamps of then; that
        initialization took `init_duration_ms`.
        """
        _check_options("restore", options.keys())
        end = number("restore_duration_ms", restore_duration_ms)
        options.setdefault("function_version", "1")
        of = _Invocation(end, **options)
        started, *done = of.init.restored(end)
        old = []
        if (taken := time_of(snapshot_at, "snapshot_at")) is not None:
            old = of.init.remembered(moment(taken), number("init_duration_ms", init_duration_ms))
        back: list[Timed] = [
            (0.0, EndInit(), Part.INIT_OVER),
            *_at(0.0, old),
            (0.0, started, None),
            *_spread(restore_logs, 0.0, end),
            *_at(end, done),
        ]
        return cls._made([*back, *of.begun(), *of.completed(restore_duration_ms=end)], options)
