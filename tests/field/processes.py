"""Mistakes of extensions that are processes of their own; what they call is in `tests/support/programs.py`."""

from pytest_lambda_telemetry import WaitTimeout, events
from tests.field.cases import PATIENT, Field, mistake, twin

ENDLESS = PATIENT.with_options({"shutdown_timeout_s": 0.3})
"""For those that never end by themselves."""


def starts(field: Field, program: str) -> None:
    """The test starts it, and ends once it has written something or has ended."""
    child = field.run(program)
    field.lambda_telemetry.wait_until(lambda: child.output or child.returncode is not None, timeout=60)


def invokes(field: Field, program: str) -> None:
    """The test starts it and invokes the function."""
    field.run(program)
    field.lambda_telemetry.invoke(logs=["hello"])


# -- before it is an extension -----------------------------------------------------------------------------------------


@mistake(
    "a program that ends before it registers",
    "the process of extension 'ext.py' was started and did not register before the environment"
    " ended; it ended with exit code 3, its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    starts(field, "sys.exit(3)")


@mistake(
    "a program that does not start",
    "the process of extension 'ext.py' was started and did not register before the environment"
    " ended; it ended with exit code 1, its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    child = field.run("import no_such_module")
    child.wait(60)


@mistake(
    "a program that never registers",
    "the process of extension 'ext.py' was started and did not register before the environment"
    " ended; it was still running, its last output:",
    settings=ENDLESS,
)
def _(field: Field) -> None:
    starts(field, "say('up'); for_ever()")


@mistake(
    "a program that never registers, and a test that invokes",
    "the process of extension 'ext.py' was started and did not register within 0.3 s (real) of init;"
    " it was still running, its last output:",
    settings=ENDLESS.with_options({"extension_timeout_s": 0.3}),
)
def _(field: Field) -> None:
    invokes(field, "for_ever()")


@mistake(
    "a second extension on the port of the first",
    "gave up waiting for extension 'two.py' to register and ask for its next event:",
    told=WaitTimeout,
    settings=PATIENT,
)
def _(field: Field) -> None:
    program = "me = register({0!r}); subscribe(me, serve(port=4243)); until_shutdown(me)"
    for name in ("one.py", "two.py"):
        field.run(program.format(name), name)
        field.lambda_telemetry.wait_until_ready(name, timeout=60)


# -- while it runs -----------------------------------------------------------------------------------------------------


@mistake(
    "an extension that ends in the middle",
    "Extension.Crash: the process of extension 'ext.py' ended by itself with exit code 5; its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    invokes(field, "me = register('ext.py'); next_event(me); sys.exit(5)")


@mistake(
    "an extension that ends after its first invocation, with code 0",
    "Extension.Crash: the process of extension 'ext.py' ended by itself with exit code 0; its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    invokes(field, "next_event(register('ext.py'))")


@mistake(
    "an extension that registers and hangs, and a test that does not invoke",
    "extension 'ext.py' had to be killed: it never learned of SHUTDOWN, because it did not ask for"
    " its next event; its last output:",
    settings=ENDLESS,
)
def _(field: Field) -> None:
    field.run("register('ext.py'); for_ever()")
    field.lambda_telemetry.wait_for_extension(timeout=60)


@mistake(
    "an extension that registers and hangs",
    "extension-timeout: extension 'ext.py' did not ask for its next event within 0.3 s (real) of init.",
    settings=ENDLESS.with_options({"extension_timeout_s": 0.3}),
)
def _(field: Field) -> None:
    field.run("register('ext.py'); for_ever()")
    field.lambda_telemetry.wait_for_extension(timeout=60)
    field.lambda_telemetry.invoke()


@mistake(
    "a listener that dies of a record without the field it wants",
    "telemetry of extension 'ext.py' was never acknowledged by http://sandbox.localdomain:PORT/in:"
    " [platform.initStart, platform.telemetrySubscription], 5 attempts, the last: connection closed"
    " without an answer.",
    settings=PATIENT,
)
def _(field: Field) -> None:
    invokes(
        field,
        """
def on_batch(batch):
    for event in batch:
        event["record"]["requestId"]

me = register("ext.py")
subscribe(me, serve(on_batch))
until_shutdown(me)
""",
    )


@mistake(
    "an extension that subscribes to its own output and logs each batch",
    "feedback loop: extension 'ext.py' is subscribed to 'extension' and writes output for every"
    " batch it receives, which comes back to it as the next batch; three batches in a row held"
    " nothing else.",
    settings=PATIENT,
)
def _(field: Field) -> None:
    listens = "serve(after=lambda batch: say(f'got {len(batch)}'))"
    field.run(f"me = register('ext.py'); subscribe(me, {listens}); until_shutdown(me)")
    field.lambda_telemetry.wait_until_ready(timeout=60)
    field.lambda_telemetry.emit(events.function("hello"))
    field.lambda_telemetry.advance(seconds=5)


# -- how it ends -------------------------------------------------------------------------------------------------------


@mistake(
    "an extension that ignores SHUTDOWN",
    "extension 'ext.py' got SHUTDOWN and had to be killed, because it did not end in the time that"
    " it was given; its last output:",
    settings=ENDLESS,
)
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py')); for_ever()")


@mistake(
    "an extension that takes too long to shut down",
    "extension 'ext.py' got SHUTDOWN and had to be killed, because it did not end in the time that"
    " it was given; its last output:",
    settings=ENDLESS,
)
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py')); time.sleep(60)")


@mistake(
    "an extension that ends with a code",
    "extension 'ext.py' ended with exit code 4 after SHUTDOWN; its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py')); sys.exit(4)")


@mistake(
    "an extension that fails while it shuts down",
    "extension 'ext.py' ended with exit code 1 after SHUTDOWN; its last output:",
    settings=PATIENT,
)
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py')); raise ValueError('no backend')")


# -- sound twins -------------------------------------------------------------------------------------------------------


@twin("an extension that ends when it is told to")
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py'))")


@twin("an extension that is slow to register")
def _(field: Field) -> None:
    invokes(field, "time.sleep(0.2); until_shutdown(register('ext.py'))")


@twin("an extension that is slow to ask for next")
def _(field: Field) -> None:
    invokes(field, "me = register('ext.py'); time.sleep(0.2); until_shutdown(me)")


@twin("an extension that listens only after it has subscribed")
def _(field: Field) -> None:
    invokes(
        field,
        """
me = register("ext.py")
subscribe(me, 4243)
threading.Timer(0.2, serve, kwargs={"port": 4243}).start()
until_shutdown(me)
""",
    )
    field.lambda_telemetry.shutdown()


WAITING_FOR_RUNTIME_DONE = """
done = threading.Semaphore(0)

def on_batch(batch):
    for event in batch:
        if event["type"] == "platform.runtimeDone":
            done.release()

me = register("ext.py")
subscribe(me, serve(on_batch))
while next_event(me)["eventType"] == "INVOKE":
    done.acquire()
"""


@twin("an extension that waits for runtimeDone before it asks for next")
def _(field: Field) -> None:
    invokes(field, WAITING_FOR_RUNTIME_DONE)
    field.lambda_telemetry.invoke(overhead_ms=0)


@twin("an extension that holds next until shortly before its deadline", PATIENT.with_options({"timeout_s": 1.0}))
def _(field: Field) -> None:
    invokes(
        field,
        """
me = register("ext.py")
while (event := next_event(me))["eventType"] == "INVOKE":
    time.sleep(max(0, event["deadlineMs"] / 1000 - time.time() - 0.05))
""",
    )


@twin("an extension that wants no SHUTDOWN, and is killed")
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py', ['INVOKE']))")


@twin("an extension that uses most of the time it has to shut down")
def _(field: Field) -> None:
    invokes(field, "until_shutdown(register('ext.py')); time.sleep(0.3)")


@twin("an extension that logs each invocation, and receives its own lines")
def _(field: Field) -> None:
    program = "me = register('ext.py'); subscribe(me, serve()); until_shutdown(me, lambda event: say('woken'))"
    invokes(field, program)
    for _time in range(5):
        field.lambda_telemetry.invoke()


@twin("an extension that logs each batch, and does not subscribe to its own output")
def _(field: Field) -> None:
    program = "subscribe(me, serve(lambda batch: say('got it')), ['platform', 'function']); until_shutdown(me)"
    invokes(field, f"me = register('ext.py'); {program}")
    for _time in range(5):
        field.lambda_telemetry.invoke()


@twin("an extension that answers the last batch once it has got SHUTDOWN")
def _(field: Field) -> None:
    invokes(
        field,
        """
told = threading.Event()

def on_batch(batch):
    if batch[-1]["type"] == "platform.report":
        told.wait()

me = register("ext.py")
subscribe(me, serve(on_batch))
until_shutdown(me)
told.set()
time.sleep(0.1)
""",
    )
    field.lambda_telemetry.shutdown()
