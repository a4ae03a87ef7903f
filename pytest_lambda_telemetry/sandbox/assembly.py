"""The composition root: the one place that knows every part of an environment, and connects them.

A clock, a sender and a server can be handed in; by default they are what the settings say. Nothing is left behind when
the assembly fails.
"""

import contextlib
import threading

from ..api.desk import Desk
from ..api.dialect import runtime_server
from ..api.extensions_api import ExtensionsApi
from ..api.parties import Extensions
from ..api.subscribe_api import SubscribeApi
from ..engine.clock import Clock, SystemClock
from ..engine.feedback import LoopWatch
from ..engine.journal import Journal
from ..engine.moments import Moments
from ..engine.outbox import Outbox
from ..engine.recordings import Recordings
from ..engine.retention import DEFAULT_LIMIT, Retention
from ..engine.run import Engine
from ..engine.turns import Turns
from ..host.addresses import own_address
from ..host.clients import CLIENTS, Lifetime
from ..host.environ import lambda_variables
from ..host.names import LOOPBACK, NAMES, SANDBOX_NAMES
from ..host.threads import DEATH_WATCH
from ..integrations import foreign_clock, passthrough, pytest_socket
from ..model.facts import Asked, Fact, Hinted, ThreadDied
from ..protocol import profiles
from ..settings import Settings
from ..story.scenario import Scenario
from ..wire.sender import Sender
from ..wire.server import Server
from .arrivals import Arrivals
from .audit import Audit
from .backends import Backends
from .background import deliver_in_background
from .children import Children
from .course import Course
from .destinations import addresses, may_be_starting
from .excuses import Excuses
from .invocations import Invocations
from .listeners import Listeners
from .misfortunes import planned
from .origins import Origins
from .phases import Phases
from .plan import Plan, PlannedDeliverer
from .player import Player
from .process_wide import ENVIRONMENT_NUMBERS, IDENTIFIERS, SHARED_SERVER
from .reception import LoopReport, Reception
from .retelling import Retelling
from .sandbox import Sandbox
from .stage import Stage
from .stand_in import StandIn
from .suspicions import Suspicions
from .violations import Violations, describe_thread_death
from .waits import Waits


def assemble(
    settings: Settings,
    seed: str | None = None,
    *,
    shared: bool = False,
    limit: int = DEFAULT_LIMIT,
    scenario: Scenario | None = None,
    clock: Clock | None = None,
    sender: Sender | None = None,
    server: Server | None = None,
    address: str | None = None,
) -> Sandbox:
    """An environment that is open: it serves, and the sandbox's names resolve.

    `seed` is what identifiers are made of (the function's name without one), `shared` puts it at the address that the
    fixtures of this process share, `limit` is the journal's, `address` what the sandbox's names resolve to (one of its
    own without it); `scenario` is what it runs under, whose settings are among `settings` already. What is handed in is
    the caller's to close. Raises MisuseError when the port cannot be used.
    """
    with contextlib.ExitStack() as undo:
        named = seed or settings.function_name
        sandbox = _connect(settings, named, shared, limit, scenario, clock, sender, server, address, undo)
        sandbox.undo = undo.pop_all()
    return sandbox


def _connect(
    settings: Settings,
    seed: str,
    shared: bool,
    limit: int,
    scenario: Scenario | None,
    clock: Clock | None,
    sender: Sender | None,
    server: Server | None,
    address: str | None,
    undo: contextlib.ExitStack,
) -> Sandbox:
    profile = settings.profile
    lock = threading.Condition()
    follows = clock is None and settings.clock not in ("virtual", "system")
    clock = clock or _clock(settings, lock, undo)
    if sender is None:
        sender = Sender(settings.delivery_timeout_s)
        undo.callback(sender.close)
    if server is None:
        server = SHARED_SERVER.get() if shared else runtime_server()
        if not shared:
            undo.callback(server.close)
    if address is None:
        address = LOOPBACK if pytest_socket.is_guarding() else own_address(next(ENVIRONMENT_NUMBERS))
    variables = lambda_variables(
        runtime_api=server.address,
        function_name=settings.function_name,
        function_version=settings.function_version,
        memory_mb=settings.memory_mb,
        initialization_type=settings.initialization_type,
        region=settings.region,
    )

    retention = Retention(limit)
    recordings, arrivals = Recordings(retention), Arrivals(limit)

    def fold(fact: Fact) -> None:
        recordings.take(fact)
        arrivals.take(fact)
        suspicions.take(fact)
        if isinstance(fact, Asked):
            excuses.accepted(fact.who)
        backends.take(fact)
        audit.take(fact)
        lock.notify_all()  # whoever waits for something looks again

    lifetime = Lifetime(seed)
    undo.callback(lifetime.end)
    turns = Turns(lock, abandon=sender.abandon)
    turns.at_end.append(sender.end_call)
    moments = Moments(clock, turns, lock)
    journal = Journal(moments.look, fold, retention)
    extensions, phases, excuses = Extensions(), Phases(lock), Excuses()
    violations = Violations(settings.strict)
    plan = Plan(seed)
    suspicions = Suspicions(lock, turns, plan, violations)
    backends = Backends(
        lock=lock,
        journal=journal,
        one_moment=moments.one,
        plan=plan,
        limit=limit,
        share=lambda shared: sandbox.share(shared),
    )
    children = Children(
        lock=lock,
        journal=journal,
        extensions=extensions,
        phases=phases,
        violations=violations,
        excuses=excuses,
        clock=clock,
        line_end=profiles.LINE_END.under(profile),
        address=address,
    )
    turns.at_end.append(children.end_call)
    sender.addresses_of = lambda subscription: addresses(subscription, address, children)
    listeners = Listeners(
        sender,
        lock=lock,
        turns=turns,
        may_be_starting=lambda subscription: may_be_starting(subscription, extensions, children),
        patience_s=settings.extension_timeout_s,
    )
    turns.at_end.append(listeners.end_call)
    audit = Audit(
        lock=lock,
        recordings=recordings,
        listeners=listeners,
        violations=violations,
        is_frozen=lambda: clock.frozen,
        has_crashed=children.has_crashed,
        process_of=children.of,
    )
    sender.on_unread = audit.unread
    outbox = Outbox(
        lock=lock,
        moments=moments,
        journal=journal,
        recordings=recordings,
        turns=turns,
        deliverer=PlannedDeliverer(listeners, plan, journal, lock),
    )
    retry = settings.retry
    engine = Engine(
        clock=clock,
        moments=moments,
        journal=journal,
        lock=lock,
        turns=turns,
        outbox=outbox,
        output=children,
        watch=LoopWatch(children, LoopReport(journal, violations)),
        delay_ms=retry.delay_ms if retry else lambda _attempts: None,
        cut=profiles.RECORD_CUT.under(profile),
    )
    reception = Reception(
        settings=settings,
        seed=seed,
        profile=profile,
        clock=clock,
        engine=engine,
        children=children,
        violations=violations,
        excuses=excuses,
    )
    extensions_api = ExtensionsApi(
        extensions,
        journal,
        function={
            "functionName": settings.function_name,
            "functionVersion": settings.function_version,
            "handler": settings.handler,
        },
        account_id=settings.account_id,
        new_identifier=lambda: IDENTIFIERS.new(seed),
        file_name=Origins(children).file_name,
    )
    desk = Desk(
        lock=lock,
        profile=profile,
        init_over=lambda: phases.init_over,
        is_stray=lambda identifier: phases.life == "closed" or IDENTIFIERS.is_retired(identifier),
        thread=CLIENTS.thread,
        outlived=lifetime.outlived,
        one_moment=moments.one,
        journal=journal,
        refusals=plan,
        reception=reception,
        extensions=extensions,
        extensions_api=extensions_api,
        subscribe_api=SubscribeApi(extensions, journal, profile),
    )
    waits = Waits(
        lock=lock,
        turns=turns,
        extensions=extensions,
        recordings=recordings,
        children=children,
        violations=violations,
        runtime_api=server.address,
    )
    stage = Stage(
        settings=settings,
        profile=profile,
        lock=lock,
        clock=clock,
        journal=journal,
        engine=engine,
        extensions=extensions,
        children=children,
        phases=phases,
        reception=reception,
        violations=violations,
        waits=waits,
        sender=sender,
    )
    for misfortune in scenario.plan if scenario is not None else ():
        plan.add(planned(misfortune, lambda: stage.is_shutting_down))
    stand_in = StandIn(lock, desk, extensions, profile)
    course = Course(
        scenario,
        lock=lock,
        journal=journal,
        engine=engine,
        extensions=extensions,
        children=children,
        reception=reception,
        stage=stage,
        stand_in=stand_in,
        restart=lambda: sandbox.restart(),
    )
    invocations = Invocations(
        settings=settings,
        profile=profile,
        seed=seed,
        lock=lock,
        journal=journal,
        moments=moments,
        engine=engine,
        extensions=extensions,
        phases=phases,
        stage=stage,
        waits=waits,
        course=course,
    )
    retelling = Retelling(
        settings=settings,
        lock=lock,
        journal=journal,
        extensions=extensions,
        children=children,
        phases=phases,
        reception=reception,
        stage=stage,
        waits=waits,
    )
    sandbox = Sandbox(
        settings=settings,
        seed=seed,
        shared=shared,
        limit=limit,
        lock=lock,
        server=server,
        variables=variables,
        address=address,
        clock=clock,
        turns=turns,
        moments=moments,
        journal=journal,
        recordings=recordings,
        arrivals=arrivals,
        engine=engine,
        extensions=extensions,
        extensions_api=extensions_api,
        desk=desk,
        plan=plan,
        phases=phases,
        backends=backends,
        children=children,
        violations=violations,
        excuses=excuses,
        suspicions=suspicions,
        audit=audit,
        waits=waits,
        stage=stage,
        invocations=invocations,
        player=Player(engine, phases, course, retelling),
        stand_in=stand_in,
        course=course,
        undo=undo,
    )
    _open(sandbox, server, undo, lifetime, follows=follows)
    return sandbox


def _clock(settings: Settings, lock: threading.Condition, undo: contextlib.ExitStack) -> Clock:
    start = settings.start_time
    if settings.clock == "system":
        return SystemClock(start, lock.wait)
    if settings.clock == "virtual":
        return Clock(start, lambda: None)
    if settings.clock != "auto":
        undo.enter_context(foreign_clock.freeze(settings.clock, start))
    return Clock(start, foreign_clock.active)


def _open(sandbox: Sandbox, server: Server, undo: contextlib.ExitStack, lifetime: Lifetime, *, follows: bool) -> None:
    """Begin to serve, to resolve names, to follow clocks, and with a real clock to deliver."""
    desk = sandbox.desk
    if follows:
        foreign_clock.watch(sandbox)
        undo.callback(foreign_clock.unwatch, sandbox)
    server.attach(desk.handle, desk.malformed)
    undo.callback(server.detach, desk.handle)
    undo.callback(NAMES.uninstall, NAMES.install(sandbox.address))

    undo.callback(sandbox.backends.close)

    def is_ours(host: str, port: int) -> bool:
        ours = port == server.port or sandbox.backends.listens_at(port)
        return ours and host in (LOOPBACK, "localhost", *SANDBOX_NAMES)

    with sandbox.lock:
        for notice in passthrough.install(is_ours):
            sandbox.journal.add(Hinted("test", notice))
    undo.callback(passthrough.uninstall, is_ours)

    def thread_died(thread: threading.Thread | None, words: str) -> None:
        name, outlived = thread.name if thread else "?", lifetime.outlived(thread)
        with sandbox.lock:
            for extension in sandbox.extensions:
                extension.lose(thread)
            sandbox.journal.add(ThreadDied(name, words, outlived))
            ours = not (outlived or sandbox.suspended or sandbox.excuses.thread(thread))
            if ours and not sandbox.violations.ending:
                sandbox.violations.add(describe_thread_death(name, words))

    DEATH_WATCH.add(thread_died)
    undo.callback(DEATH_WATCH.remove, thread_died)
    sandbox.phases.life = "open"
    if sandbox.clock.real:
        deliver_in_background(sandbox, undo)
