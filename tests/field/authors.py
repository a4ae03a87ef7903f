"""Mistakes of the authors of tests."""

import asyncio
from collections.abc import Callable
from typing import Any

from pytest_lambda_telemetry import (
    AsyncLambdaTelemetry,
    Event,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    MisuseError,
    ProtocolViolation,
    Retry,
    Script,
    Settings,
    WaitTimeout,
    events,
)
from tests.field.cases import PATIENT, Field, Live, mistake, twin

URI = "http://sandbox.localdomain:4243"
HELLO = events.function("hello")
DEFAULTS = Settings()


def misuse(name: str, said: str, told: type[Exception] = MisuseError) -> Callable[[Callable[[Any], object]], Live]:
    """A row of `MISTAKES`: what a test does with its environment, which is Any because mypy would find most of them."""
    add = mistake(name, said, by="test", told=told, settings=DEFAULTS)

    def of(live: Callable[[Any], object]) -> Live:
        return add(lambda field: live(field.lambda_telemetry))

    return of


# -- time --------------------------------------------------------------------------------------------------------------

misuse("advance(5)", "advance(5) does not say in what unit: say ms= or seconds=, or pass a timedelta")(
    lambda it: it.advance(5)
)
misuse("advance(ms=-1)", "ms=-1 is not valid: it must be a number, 0 or more")(lambda it: it.advance(ms=-1))
misuse('advance(seconds="1")', "seconds='1' is not valid: it must be a number, 0 or more")(
    lambda it: it.advance(seconds="1")
)
misuse("invoke(duration_ms=-1)", "duration_ms=-1 is not valid: it must be a number, 0 or more")(
    lambda it: it.invoke(duration_ms=-1)
)

# -- events ------------------------------------------------------------------------------------------------------------

misuse(
    "emit(batch) for emit(*batch)",
    "[Event(type='function', record='hello', time=None)] is a list, no event; pass its events one by one: emit(*batch)",
)(lambda it: it.emit([HELLO]))
misuse(
    "emit() of a line",
    "'hello' is no event; make one with a builder such as events.function('a line'), or from a dict"
    " with events.from_dict(...)",
)(lambda it: it.emit("hello"))
misuse(
    "emit() of a dict",
    "{'type': 'function', 'record': 'hello'} is no event; make one with a builder such as"
    " events.function('a line'), or from a dict with events.from_dict(...)",
)(lambda it: it.emit({"type": "function", "record": "hello"}))
misuse(
    "push() of an event alone",
    "a batch is a list of events, not Event(type='function', record='hello', time=None); pass a list, such as [event]",
)(lambda it: it.push(HELLO))
misuse(
    "push() before anything is subscribed",
    "nothing is subscribed yet, so there is nobody to send to; wait_for_subscription() waits for it",
)(lambda it: it.push([HELLO]))
misuse(
    "logs= of what is no line",
    "logs[0]=b'hello' is not valid: it must be a line (str), an object (dict), another JSON value,"
    " or an event such as events.function_log(...)",
)(lambda it: it.invoke(logs=[b"hello"]))
misuse(
    "play() of a list",
    "play() takes a Script, not [(0, Event(type='function', record='hello', time=None))];"
    " Script([(0, event), …]) makes one",
)(lambda it: it.play([(0, HELLO)]))
misuse(
    "an option that a Script does not have",
    "Script.cold_start has no option 'durations_ms'; it has initialization_type, init_duration_ms,"
    " init_logs, extensions, request_id, duration_ms, logs, overhead_ms, timeout_s, memory_mb,"
    " max_memory_used_mb, function_name, function_version, tenant_id, tracing, runtime; did you mean"
    " 'duration_ms'?",
)(lambda it: it.play(Script.cold_start(durations_ms=5)))  # type: ignore[call-arg]  # mypy finds it too

# -- subscribing by hand -----------------------------------------------------------------------------------------------

misuse("subscribe() with both uri and port", "subscribe() takes uri= for HTTP or port= for TCP, one of the two")(
    lambda it: it.subscribe(URI, port=4243)
)
misuse("subscribe() with neither", "subscribe() takes uri= for HTTP or port= for TCP, one of the two")(
    lambda it: it.subscribe()
)
misuse("subscribe() at https", "Lambda would refuse this subscription: 400 ValidationError: URI scheme should be http")(
    lambda it: it.subscribe("https://sandbox.localdomain:4243")
)
misuse('subscribe(types="platform")', "types='platform' is not a list; pass a list of types, such as ['platform']")(
    lambda it: it.subscribe(URI, types="platform")
)
misuse(
    'subscribe(types=["platform.runtimeDone"])',
    "Lambda would refuse this subscription: 400 ValidationError: types should contain only"
    " `platform`, `function`, `extension`",
)(lambda it: it.subscribe(URI, types=["platform.runtimeDone"]))
misuse(
    'subscribe(buffering={"timeout_ms": 100})',
    "buffering has 'timeout_ms', which the wire spells 'timeoutMs': pass {'timeoutMs': 100}, or"
    " Buffering(timeout_ms=100)",
)(lambda it: it.subscribe(URI, buffering={"timeout_ms": 100}))
misuse(
    'subscribe(buffering={"timeoutMs": 5})',
    "Lambda would refuse this subscription: 400 ValidationError: timeoutMs should be between 25 and 30000",
)(lambda it: it.subscribe(URI, buffering={"timeoutMs": 5}))
misuse('register(events="INVOKE")', "events='INVOKE' is not a list; pass a list of events, such as ['INVOKE']")(
    lambda it: it.register("ext", events="INVOKE")
)


@misuse(
    "subscribe() after init",
    "Lambda would refuse register('test-extension'): 403 Extension.RegistrationClosed: Extension"
    " registration closed already",
)
def _(it: LambdaTelemetry) -> None:
    it.end_init()
    it.subscribe(URI)


@misuse(
    "subscribe() at a port where nobody listens",
    "nobody ever listened for the telemetry of extension 'test-extension' at"
    " http://sandbox.localdomain:PORT: 4 attempts were refused, and [function] never arrived.",
    told=ProtocolViolation,
)
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI)
    it.emit(HELLO)
    it.advance(seconds=2)


# -- asking for what was recorded --------------------------------------------------------------------------------------


@misuse("to= that names nobody", "to='my_extension' has no subscription; there are subscriptions of: 'my-extension'")
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI, name="my-extension")
    it.push([HELLO], to="my_extension")


misuse(
    'assert_delivered(["platform"])',
    "'platform' is what a subscription asks for, and no type of an event; those that it brings are"
    " 'platform.initStart', 'platform.initRuntimeDone', 'platform.initReport',"
    " 'platform.restoreStart', 'platform.restoreRuntimeDone', 'platform.restoreReport',"
    " 'platform.start', 'platform.runtimeDone', 'platform.report', 'platform.extension',"
    " 'platform.telemetrySubscription', 'platform.logsDropped'",
)(lambda it: it.assert_delivered(["platform"]))
misuse(
    'assert_delivered(["runtimeDone"])', "there is no event type 'runtimeDone'; did you mean 'platform.runtimeDone'?"
)(lambda it: it.assert_delivered(["runtimeDone"]))
misuse(
    "assert_subscribed(timeout_ms=100)",
    "a subscription has no field 'timeout_ms'; it has schema_version, types, destination, buffering,"
    " body, extension_id, extension_name, raw, headers",
)(lambda it: it.assert_subscribed(timeout_ms=100))
misuse("records() of a type that no event has", "there is no event type 'functions'; did you mean 'function'?")(
    lambda it: it.records("functions")
)


@misuse(
    "assert_delivered() before advance()", "no acknowledged delivery carried exactly ['function']", told=AssertionError
)
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI)
    it.emit(HELLO)
    it.assert_delivered(["function"])


@misuse(
    "assert_delivered() where nothing is subscribed",
    "no acknowledged delivery carried exactly ['function']",
    told=AssertionError,
)
def _(it: LambdaTelemetry) -> None:
    it.emit(HELLO)
    it.flush()
    it.assert_delivered(["function"])


@misuse(
    "assert_delivered() of a type that is not subscribed to",
    "no acknowledged delivery carried exactly ['function']",
    told=AssertionError,
)
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI, types=["platform"])
    it.emit(HELLO)
    it.flush()
    it.assert_delivered(["function"])


@misuse(
    "assert_delivered() in a frozen environment",
    "no acknowledged delivery carried exactly ['function']",
    told=AssertionError,
)
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI)
    it.freeze()
    it.emit(HELLO)
    it.advance(seconds=1)
    it.assert_delivered(["function"])


@misuse("assert_all_delivered() before advance()", "not everything that was emitted is delivered:", told=AssertionError)
def _(it: LambdaTelemetry) -> None:
    it.subscribe(URI)
    it.emit(HELLO)
    it.assert_all_delivered()


@misuse(
    "assert_all_delivered() where nothing is subscribed",
    "1 event was emitted, but nothing is subscribed",
    told=AssertionError,
)
def _(it: LambdaTelemetry) -> None:
    it.emit(HELLO)
    it.assert_all_delivered()


# -- waiting -----------------------------------------------------------------------------------------------------------

misuse(
    "a wait for an extension that was not started",
    "waited 0.05 s for extension 'my-extension' to register and ask for its next event; seen instead:",
    told=WaitTimeout,
)(lambda it: it.wait_until_ready("my-extension", timeout=0.05))
misuse("wait_until(True)", "predicate=True is not valid: it must be something to call, such as lambda: len(seen) == 3")(
    lambda it: it.wait_until(True)
)
misuse("wait_until() with the time-out in a text", "timeout='1s' is not valid: it must be a number of seconds")(
    lambda it: it.wait_until(lambda: False, timeout="1s")
)


@misuse(
    "a wait for an extension by another name than it has",
    "waited 0.05 s for extension 'my_extension' to register; seen instead:",
    told=WaitTimeout,
)
def _(it: LambdaTelemetry) -> None:
    it.register("my-extension")
    it.wait_for_extension("my_extension", timeout=0.05)


@misuse(
    "expect_rejection() of what Lambda accepts",
    "expected a refused Subscribe within 0.05 s, but there was none; seen instead:",
    told=ProtocolViolation,
)
def _(it: LambdaTelemetry) -> None:
    with it.expect_rejection(timeout=0.05):
        pass


misuse(
    'expect_rejection(route="telemetry")',
    "there is no route 'telemetry'; expect_rejection takes one of 'register', 'next', 'subscribe',"
    " 'init_error', 'exit_error'",
)(lambda it: it.expect_rejection(route="telemetry").__enter__())

# -- faults, processes, settings ---------------------------------------------------------------------------------------

misuse(
    "a fault that does not exist",
    "'timeut' is no delivery fault; use one of 'refuse', 'lost-answer', 'duplicate', 'reset',"
    " 'timeout', 'truncate', 'split', a status 200-599, or ('lost-answer', a status)",
)(lambda it: it.fail_next_delivery("timeut"))
misuse(
    "a status that is none",
    "42 is no delivery fault; use one of 'refuse', 'lost-answer', 'duplicate', 'reset', 'timeout',"
    " 'truncate', 'split', a status 200-599, or ('lost-answer', a status)",
)(lambda it: it.fail_next_delivery(42))
misuse(
    "reject_next() of a route that does not exist",
    "there is no route 'telemetry'; reject_next takes one of 'register', 'next', 'subscribe',"
    " 'init_error', 'exit_error'",
)(lambda it: it.reject_next("telemetry"))
misuse(
    "reject_next() with a status that is no error", "status=200 is not valid: an error has a status from 400 to 599"
)(lambda it: it.reject_next("subscribe", status=200))
misuse(
    "run_extension() of a file that does not exist",
    "run_extension(['/opt/no-such-extension']): there is no file /opt/no-such-extension",
)(lambda it: it.run_extension(["/opt/no-such-extension"]))
misuse(
    "run_extension() of a command line",
    "run_extension('./bin/my-extension --debug'): expected a list of arguments, the program first;"
    " for a command line in one string use shlex.split",
)(lambda it: it.run_extension("./bin/my-extension --debug"))
misuse(
    "run_extension() without a file that names it",
    "run_extension(['python', '-c', 'pass']): no file gives this extension its name; say name='…',"
    " the name it registers with",
)(lambda it: it.run_extension(["python", "-c", "pass"]))
misuse(
    "a setting that does not exist",
    "there is no setting 'timeout'; did you mean 'timeout_s'? valid settings: function_name,"
    " function_version, handler, account_id, region, runtime, tracing, memory_mb, timeout_s,"
    " initialization_type, fidelity, log_format, clock, start, platform_events, local_testing,"
    " allow_loopback_destination, internal_extensions, strict, retry, delivery_timeout_s,"
    " extension_timeout_s, shutdown_timeout_s",
)(lambda it: Settings().with_options({"timeout": 3}))
misuse("a setting with a value that is none", "log_format='json' is not valid: it must be one of 'Text', 'JSON'")(
    lambda it: Settings().with_options({"log_format": "json"})
)
misuse(
    "a Retry without an attempt",
    "Retry.attempts=0 is not valid: it must be a whole number, 1 or more, or None for no limit",
)(lambda it: Retry(attempts=0))


@mistake(
    "run_extension() of a file that is not executable",
    "run_extension(['my-extension']): my-extension is not executable; make it so (chmod +x), or run"
    " it with its interpreter: run_extension([sys.executable, 'my-extension'])",
    by="test",
    told=MisuseError,
)
def _(field: Field) -> None:
    path = field.folder / "my-extension"
    path.write_text("#!/bin/sh")
    field.lambda_telemetry.run_extension([path])


@mistake(
    "push() to an extension whose process is frozen",
    "the environment is frozen, and with it the process of extension 'ext.py': nothing can be sent"
    " to it; call thaw() first",
    by="test",
    told=MisuseError,
    settings=PATIENT,
)
def _(field: Field) -> None:
    field.run("me = register('ext.py'); subscribe(me, serve()); until_shutdown(me)")
    field.lambda_telemetry.invoke()
    field.lambda_telemetry.push([HELLO])


# -- the life of an environment ----------------------------------------------------------------------------------------


@misuse(
    "invoke() after a time-out, without restart()",
    "the invocation before this one ended with a time-out, and with it, on Lambda, its execution"
    " environment; call shutdown('timeout') or restart(), which begins a new one",
)
def _(it: LambdaTelemetry) -> None:
    it.invoke(status="timeout")
    it.invoke()


@misuse(
    "invoke() after shutdown()", "cannot start an invocation: the environment has shut down: restart() begins a new one"
)
def _(it: LambdaTelemetry) -> None:
    it.shutdown()
    it.invoke()


@misuse("an invocation inside of another", "cannot start an invocation: an invocation is running: let it end first")
def _(it: LambdaTelemetry) -> None:
    with it.invocation():
        it.invoke()


@misuse(
    "several invocations at the same time",
    "concurrent=2: an execution environment runs one invocation at a time; several run at the same"
    " time only on Lambda Managed Instances (initialization_type='lambda-managed-instances')",
)
def _(it: LambdaTelemetry) -> None:
    it.invoke(concurrent=2)


@misuse(
    "an error type with the status success",
    "error_type='Function.ValueError' with status='success': it goes with 'error' and 'failure' only",
)
def _(it: LambdaTelemetry) -> None:
    it.invoke(error_type="Function.ValueError")


misuse('shutdown("spin-down")', "reason='spin-down' is not valid: it must be one of 'spindown', 'timeout', 'failure'")(
    lambda it: it.shutdown("spin-down")
)


@misuse("a log line after the invocation is over", "invocation ID is over: its function can't log any more")
def _(it: LambdaTelemetry) -> None:
    invocation = it.invoke()
    invocation.log("too late")


@misuse(
    "an environment whose test is over",
    "this environment is closed: its test is over; what it recorded can still be read",
)
def _(_it: LambdaTelemetry) -> None:
    with LambdaTelemetry() as another:
        pass
    another.emit(HELLO)


@misuse(
    "an environment that was never entered",
    "this environment is not started: use it as `with LambdaTelemetry() as lambda_telemetry:`",
)
def _(_it: LambdaTelemetry) -> None:
    LambdaTelemetry().emit(HELLO)


# -- async -------------------------------------------------------------------------------------------------------------


@misuse(
    "the fixture of plain tests in an async one",
    "advance() would block the running event loop, and with it a listener on that loop; use the"
    " async_lambda_telemetry fixture, or AsyncLambdaTelemetry(Settings(…)) where there is none, and"
    " await advance()",
)
def _(it: LambdaTelemetry) -> None:
    async def test() -> None:
        it.advance(ms=1)

    asyncio.run(test())


@misuse(
    "an async call that is not awaited",
    "advance() was called and never awaited, so it did nothing: write `await` before it",
    told=LambdaTelemetryWarning,
)
def _(_it: LambdaTelemetry) -> None:
    async def test() -> None:
        async with AsyncLambdaTelemetry(Settings()) as async_lambda_telemetry:
            async_lambda_telemetry.advance(ms=1)  # type: ignore[unused-coroutine]  # the mistake

    asyncio.run(test())


# -- sound twins -------------------------------------------------------------------------------------------------------


@twin("advance() by nothing")
def _(field: Field) -> None:
    field.lambda_telemetry.advance(ms=0)


@twin("emit() of nothing")
def _(field: Field) -> None:
    field.lambda_telemetry.emit()


@twin("the exact wire names of buffering in assert_subscribed")
def _(field: Field) -> None:
    field.lambda_telemetry.subscribe(f"http://sandbox.localdomain:{field.listener()}", buffering={"timeoutMs": 100})
    field.lambda_telemetry.assert_subscribed(buffering={"timeoutMs": 100})


@twin("an event of a type that Lambda does not know yet")
def _(field: Field) -> None:
    field.lambda_telemetry.subscribe(f"http://sandbox.localdomain:{field.listener()}")
    field.lambda_telemetry.emit(Event("platform.somethingNew", {}))
    field.lambda_telemetry.advance(seconds=1)
    field.lambda_telemetry.assert_delivered(["platform.somethingNew"])


@twin("a new environment after a time-out")
def _(field: Field) -> None:
    field.lambda_telemetry.invoke(status="timeout")
    field.lambda_telemetry.restart()
    field.lambda_telemetry.invoke()
