"""One fake execution environment: it owns the parts and is what they ask for one another."""

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from .. import events
from ..engine.clock import Clock, SystemClock, from_us
from ..engine.journal import DEFAULT_LIMIT, Entry, Journal
from ..engine.run import Engine
from ..host.environ import ENVIRON, Frame, child_variables, lambda_variables
from ..host.names import LOOPBACK, NAMES, SANDBOX_NAMES
from ..integrations import following_any, passthrough
from ..model.errors import MisuseError
from ..model.event import Event
from ..model.headers import Headers
from ..model.records import Rejection, Request, Subscription
from ..protocol.contract import LOGS, Api
from ..protocol.lifecycle import Phase, Trigger, advance_phase, init_over
from ..protocol.projection import View
from ..protocol.schema import function_arn
from ..protocol.subscription import Accepted
from ..settings import Settings
from ..wire.api import Refused, RuntimeApi
from ..wire.extensions import LiveExtension
from ..wire.sender import Outcome, Sender
from ..wire.server import Server
from .children import Children
from .fault_plan import FaultPlan
from .machine import MACHINE
from .strictness import Strictness, describe_refusal

State = Literal["new", "open", "closed"]


class Sandbox:
    """The connected parts. Implements the ports of `wire.api`, `engine.run` and `integrations.following`.

    `lock` guards everything that is recorded. It is held around each port of the API, and never while a delivery is on
    its way. `seed` is what identifiers and request ids are made of.
    """

    def __init__(self, settings: Settings, seed: str, *, shared: bool, limit: int = DEFAULT_LIMIT) -> None:
        self.settings = settings
        self.profile = settings.profile
        self.lock = threading.Condition()
        self.state: State = "new"
        self.phase = Phase.INIT
        self.seed = seed
        self.requests: deque[Request] = deque(maxlen=limit)
        self.subscriptions: list[Subscription] = []
        self.children = Children(self)
        self.strictness = Strictness(settings.strict, limit)
        self.faults = FaultPlan()
        self.init_started_us: int | None = None
        self.happened = threading.Event()
        self.api = RuntimeApi(self)
        self.shared = shared
        self._limit = limit
        self._closing = contextlib.ExitStack()
        self._frame: Frame | None = None

    # -- start and end -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start serving; the sandbox's names resolve from now on.

        Raises MisuseError when it was started before, or the port cannot be used; then nothing is left behind.
        """
        if self.state != "new":
            raise MisuseError("this environment was started before; make a new one")
        settings = self.settings
        with self._closing as undo:
            self.clock = self._make_clock(undo)
            self.journal = Journal(lambda: self.engine.moment(), self._limit)
            self.sender = Sender(settings.delivery_timeout_s)
            undo.callback(self.sender.close)
            retry = settings.retry
            self.engine = Engine(
                clock=self.clock,
                journal=self.journal,
                lock=self.lock,
                ports=self,
                output=self.children,
                delay_ms=retry.delay_ms if retry else lambda _attempts: None,
                cut=self.profile.observed,
            )
            self._server = MACHINE.server() if self.shared else Server()
            if not self.shared:
                undo.callback(self._server.close)
            self._server.attach(self.api.handle, self.api.malformed)
            undo.callback(self._server.detach, self.api.handle)
            undo.callback(NAMES.uninstall, NAMES.install())
            for notice in passthrough.install(self._is_ours):
                self.journal.record("note", "test", notice)
            undo.callback(passthrough.uninstall, self._is_ours)
            self._closing = undo.pop_all()
        self.variables = lambda_variables(
            runtime_api=self._server.address,
            function_name=settings.function_name,
            function_version=settings.function_version,
            memory_mb=settings.memory_mb,
            initialization_type=settings.initialization_type,
            region=settings.region,
        )
        self.state = "open"
        if self.clock.real:
            self._start_background()

    def own_environ(self) -> None:
        """Put Lambda's variables into `os.environ`; the environment that did so last owns it."""
        if self._frame is not None:
            raise MisuseError("this environment is entered already")
        self._frame = ENVIRON.enter(self.variables)

    def disown_environ(self) -> None:
        """Give `os.environ` back as it was."""
        if self._frame is not None:
            ENVIRON.leave(self._frame)
            self._frame = None

    def _make_clock(self, undo: contextlib.ExitStack) -> Clock:
        settings = self.settings
        start = settings.start_time
        if settings.clock == "system":
            return SystemClock(start, self.lock.wait)
        if settings.clock == "virtual":
            return Clock(start, lambda: None)
        if settings.clock != "auto":
            undo.enter_context(following_any.freeze(settings.clock, start))
        following_any.watch(self)
        undo.callback(following_any.unwatch, self)
        return Clock(start, following_any.active)

    def _start_background(self) -> None:
        stopped = threading.Event()
        thread = threading.Thread(
            target=self.engine.deliver_in_real_time, args=(stopped.is_set,), name="lambda-telemetry-clock", daemon=True
        )

        def stop() -> None:
            with self.lock:
                stopped.set()
                self.lock.notify_all()
            thread.join()

        thread.start()
        self._closing.callback(stop)

    def close(self) -> None:
        """End everything: polls, children, threads, sockets, variables, names. Doing it again does nothing."""
        if self.state != "open":
            return
        self.children.kill()
        with self.lock:
            self.state = "closed"
            self.phase = advance_phase(self.phase, Trigger.CLOSE)
            for extension in self.api.extensions:
                extension.hang_up()
            self.lock.notify_all()
        self.disown_environ()
        self._closing.close()
        MACHINE.retire([extension.extension_id for extension in self.api.extensions])

    def _is_ours(self, host: str, port: int) -> bool:
        return port == self._server.port and host in (LOOPBACK, "localhost", *SANDBOX_NAMES)

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of a child process."""
        return child_variables(self.variables, {})

    @property
    def runtime_api(self) -> str:
        """The server's `host:port`."""
        return self._server.address

    # -- time ----------------------------------------------------------------------------------------------------------

    def _times(self) -> tuple[datetime, int]:
        wall_us, elapsed_us = self.engine.moment()
        return from_us(wall_us), elapsed_us

    @property
    def now(self) -> datetime:
        return self._times()[0]

    def now_and_elapsed(self) -> tuple[datetime, timedelta]:
        """Both times of one moment."""
        with self.lock:
            now, elapsed_us = self._times()
        return now, timedelta(microseconds=elapsed_us)

    def before_move(self) -> None:
        """The test's own `tick` or `move_to` is about to move time."""
        if not self.engine.owned_here:
            culprit = "an awaited call" if self.engine.lent else "the thread that started it"
            raise MisuseError(
                "tick(), move_to() and shift() move the time of this environment, which belongs to"
                f" {culprit} now; use them there or afterwards, or clock='virtual', which follows neither freezegun nor"
                " time-machine"
            )
        with self.lock:
            self.clock.look()  # a freeze that began since the last look begins here, not where it is moved to

    def after_move(self) -> None:
        """It has moved: deliver what became due, unless that would block a running event loop."""
        with self.lock:
            self.clock.look()
        if not (in_event_loop() or self.engine.driving_here):
            with self.engine.driving("tick()"):
                self.engine.catch_up()

    # -- ports of the API ----------------------------------------------------------------------------------------------

    @property
    def function(self) -> dict[str, str]:
        settings = self.settings
        return {
            "functionName": settings.function_name,
            "functionVersion": settings.function_version,
            "handler": settings.handler,
        }

    @property
    def account_id(self) -> str:
        return self.settings.account_id

    @property
    def init_over(self) -> bool:
        return init_over(self.phase)

    def new_identifier(self) -> str:
        return MACHINE.identifier(self.seed)

    def is_stray(self, extension_id: str) -> bool:
        return self.state == "closed" or MACHINE.is_retired(extension_id)

    def record(self, kind: str, who: str, what: str, verdict: str = "") -> None:
        with self.lock:
            self.journal.record(kind, who, what, verdict)
            self.happened.set()
            self.lock.notify_all()

    def cover_mocks(self) -> None:
        """Let calls to us pass through mocking libraries, also those that were imported since."""
        for notice in passthrough.refresh():
            self.record("note", "test", notice)

    def requested(self, request: Request) -> None:
        self.requests.append(request)
        self.lock.notify_all()

    def registered(self, extension: LiveExtension) -> None:
        if not extension.by_hand:
            self.children.registered(extension.name)
        if self.init_started_us is None and not extension.by_hand:
            self.init_started_us = self.clock.elapsed_us
            if self.settings.platform_events:
                self.own(
                    events.platform_init_start(
                        initialization_type=self.settings.initialization_type,
                        function_name=self.settings.function_name,
                        function_version=self.settings.function_version,
                        instance_max_memory=self.settings.memory_mb * 1024 * 1024,
                    )
                )

    def asked_for_next(self, extension: LiveExtension) -> None:
        self.record("lifecycle", extension.name, "asks for its next event")

    def subscribed(self, extension: LiveExtension, accepted: Accepted, api: Api, raw: bytes, headers: Headers) -> None:
        subscription = Subscription(
            extension_name=extension.name,
            extension_id=extension.extension_id,
            schema_version=accepted.schema_version,
            types=accepted.types,
            destination=accepted.destination,
            buffering=accepted.buffering,
            body=accepted.body,
            raw=raw,
            headers=headers,
            at=self.now,
        )
        self.subscriptions.append(subscription)
        view = View(
            schema_version=accepted.schema_version,
            log_format=self.settings.log_format,
            managed_instances=self.profile.managed_instances,
            logs_api=api is LOGS,
        )
        self.engine.subscribe(subscription, view)
        self.lock.notify_all()
        if not extension.by_hand:
            self._announce_subscription(extension.name, "Subscribed", accepted.types)

    def subscribed_again(self, extension: LiveExtension, accepted: Accepted) -> None:
        if self.profile.observed and not extension.by_hand:
            self._announce_subscription(extension.name, "Already subscribed", accepted.types)

    def _announce_subscription(self, name: str, state: str, types: Sequence[Any]) -> None:  # checked names
        if self.settings.platform_events:
            self.own(events.platform_telemetry_subscription(name=name, state=state, types=list(types)))

    def broke(self, reason: str) -> None:
        self.strictness.violated(f"pytest-lambda-telemetry itself failed while it answered a request: {reason}")

    def refused(self, refused: Refused) -> None:
        refusal, injected = refused.refusal, refused.injected or self.strictness.ending
        if refused.route == "subscribe":
            rejection = Rejection(
                extension_name=refused.who,
                status=refusal.status,
                error_type=refusal.error_type,
                message=refusal.message,
                faults=tuple(fault.message for fault in refusal.faults) or (refusal.message,),
                body=refused.body,
                raw=refused.raw,
                at=self.now,
            )
            self.strictness.rejected(rejection, refusal, injected=injected)
        elif refused.route == "register" and not injected:
            self.strictness.violated(describe_refusal("Register", refused.who, refusal, refused.raw))

    # -- ports of the engine -------------------------------------------------------------------------------------------

    def send(self, subscription: Subscription, body: bytes) -> Outcome:
        return self.faults.send(self.sender, subscription, body, record=self.record)

    def end_call(self) -> None:
        self.sender.end_call()
        self.children.end_call()

    def abandon(self) -> None:
        self.sender.abandon()

    def report_loop(self, subscription: Subscription) -> None:
        name = subscription.extension_name
        self.record("note", name, "feedback loop: its further output is not delivered to itself")
        self.strictness.violated(
            f"feedback loop: extension {name!r} is subscribed to 'extension' and writes output for every batch it"
            " receives, which comes back to it as the next batch; three batches in a row held nothing else.\n"
            "  On Lambda this runs for ever and is billed. Write nothing while handling telemetry, or subscribe without"
            " 'extension'."
        )

    # -- the journal ---------------------------------------------------------------------------------------------------

    def entries(self) -> tuple[Entry, ...]:
        """What the journal holds; nothing before `start`."""
        with self.lock:
            return self.journal.entries if self.state != "new" else ()

    @property
    def forgotten(self) -> int:
        return self.journal.forgotten if self.state != "new" else 0

    # -- Lambda's own events -------------------------------------------------------------------------------------------

    @property
    def function_arn(self) -> str:
        """The ARN that INVOKE and platform.start name."""
        settings = self.settings
        return function_arn(settings.function_name, region=settings.region, account_id=settings.account_id)

    def own(self, *generated: Event) -> None:
        """Lambda generates events of its own: they buffer, and are delivered by the next call that moves time."""
        self.engine.emit(generated, deliver=False)

    # -- strictness ----------------------------------------------------------------------------------------------------

    def violations(self) -> str | None:
        """What the extension did wrong and nobody was told yet, as one text, if that matters here."""
        with self.lock:
            text = self.strictness.take()
        return text if self.settings.strict else None

    # -- phase ---------------------------------------------------------------------------------------------------------

    def move_to_phase(self, trigger: Trigger) -> None:
        """Change the phase. Raises MisuseError where there is no such step from here."""
        with self.lock:
            self.phase = advance_phase(self.phase, trigger)
            self.lock.notify_all()


def in_event_loop() -> bool:
    """This thread runs an asyncio or trio event loop."""
    asyncio, trio = sys.modules.get("asyncio.events"), sys.modules.get("trio.lowlevel")
    return bool((asyncio and asyncio._get_running_loop()) or (trio and trio.in_trio_run()))
