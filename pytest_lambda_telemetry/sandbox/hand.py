"""What a test does by hand: it acts as an extension, starts one, and says what goes wrong."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from re import error as PatternError

from ..host.child_names import choose
from ..host.environ import child_variables
from ..host.process import ExtensionProcess, extension_name
from ..model.errors import MisuseError, ProtocolViolation
from ..model.real import Real
from ..model.records import Buffering, Extension, Subscription
from ..protocol.contract import Refusal
from ..wire.api import Injection
from ..wire.extensions import LiveExtension
from ..wire.routes import NAMES
from . import arguments
from .core import Sandbox
from .delivery_faults import parse_fault
from .strictness import ExpectedRejection

_ERROR_TYPES = {500: "InternalServerError", 400: "ValidationError"}
_FORBIDDEN = {"subscribe": "Telemetry.AccessDenied", "register": "Extension.RegistrationClosed"}
_MESSAGES = {500: "Internal Server Error"}


def register(sandbox: Sandbox, name: str, events: tuple[str, ...]) -> Extension:
    """See LambdaTelemetry.register."""
    return _registered(sandbox, name, events).snapshot


def _registered(sandbox: Sandbox, name: str, events: tuple[str, ...]) -> LiveExtension:
    if not isinstance(name, str):
        raise MisuseError(f"name={name!r} is not valid: it must be the name of an extension, a str")
    extension = sandbox.api.register_by_hand(name, events)
    if isinstance(extension, Refusal):
        raise MisuseError(f"Lambda would refuse register({name!r}): {_told(extension)}")
    sandbox.record("lifecycle", name, "registered by hand")
    return extension


def _events(sandbox: Sandbox) -> tuple[str, ...]:
    """What an extension registers for; on Managed Instances there is no INVOKE."""
    return ("SHUTDOWN",) if sandbox.profile.managed_instances else ("INVOKE", "SHUTDOWN")


def subscribe(
    sandbox: Sandbox,
    uri: str | None,
    types: tuple[str, ...],
    schema_version: str,
    buffering: Buffering | Mapping[str, int] | None,
    name: str,
    port: int | None,
) -> Subscription:
    """See LambdaTelemetry.subscribe."""
    if (uri is None) == (port is None):
        raise MisuseError("subscribe() takes uri= for HTTP or port= for TCP, one of the two")
    destination = {"protocol": "HTTP", "URI": uri} if port is None else {"protocol": "TCP", "port": port}
    body: dict[str, object] = {"schemaVersion": schema_version, "types": list(types), "destination": destination}
    if isinstance(buffering, Buffering):
        buffering = {
            "maxItems": buffering.max_items,
            "maxBytes": buffering.max_bytes,
            "timeoutMs": buffering.timeout_ms,
        }
    if buffering is not None:
        body["buffering"] = dict(buffering) if isinstance(buffering, Mapping) else buffering  # refused below
    with sandbox.lock:
        extension = sandbox.api.extensions.by_name(name) or _registered(sandbox, name, _events(sandbox))
        before = len(sandbox.subscriptions)
        refusal = sandbox.api.subscribe_by_hand(extension, body)
        if refusal is not None:
            raise MisuseError(f"Lambda would refuse this subscription: {_told(refusal)}")
        if len(sandbox.subscriptions) == before:
            same = [one for one in sandbox.subscriptions if one.extension_name == name and one.body == body]
            if same:
                return same[0]
            raise MisuseError("with local_testing=True Lambda answers 202 and nothing is ever subscribed")
        sandbox.record("lifecycle", name, "subscribed by hand")
        return sandbox.subscriptions[-1]


def _told(refusal: Refusal) -> str:
    rules = "".join(f"\n  {fault.rule}" for fault in refusal.faults)
    return f"{refusal.status} {refusal.error_type}: {refusal.message}{rules}"


def fail_next_delivery(sandbox: Sandbox, fault: str | int, times: int, to: object) -> None:
    """See LambdaTelemetry.fail_next_delivery."""
    parsed = parse_fault(fault)
    _check_times(times)
    whose = None if to is None else tuple(channel.subscription for channel in arguments.channels(sandbox, to))
    sandbox.faults.add(parsed, times, whose)


def reject_next(
    sandbox: Sandbox, route: str, status: int, error_type: str | None, message: str | None, times: int
) -> None:
    """See LambdaTelemetry.reject_next."""
    if route not in NAMES:
        raise MisuseError(f"there is no route {route!r}; reject_next takes one of {', '.join(map(repr, NAMES))}")
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
        raise MisuseError(f"status={status!r} is not valid: an error has a status from 400 to 599")
    _check_times(times)
    refusal = Refusal(
        status,
        error_type or _default_error_type(route, status),
        message or _MESSAGES.get(status, "injected by reject_next"),
        compact=True,
    )
    with sandbox.lock:
        sandbox.api.injections.append(Injection(route, refusal, times))


def _default_error_type(route: str, status: int) -> str:
    if status == 403:
        return _FORBIDDEN.get(route, "Extension.InvalidExtensionState")
    return _ERROR_TYPES.get(status, "ServiceException")


def _check_times(times: object) -> None:
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise MisuseError(f"times={times!r} is not valid: it must be a whole number, 1 or more")


def run_extension(
    sandbox: Sandbox,
    argv: Sequence[str | os.PathLike[str]],
    name: str | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
) -> ExtensionProcess:
    """See LambdaTelemetry.run_extension."""
    name = extension_name(argv, name)

    def woken() -> None:
        with sandbox.lock:
            sandbox.lock.notify_all()

    resolution = choose()
    variables = child_variables(sandbox.variables, env or {})

    def make() -> ExtensionProcess:
        return ExtensionProcess(argv, name=name, env=variables, cwd=cwd, on_lines=woken, resolution=resolution)

    process = sandbox.children.start(make, resolution.hint)
    sandbox.record("lifecycle", name, f"started as process {process.pid}", resolution.description)
    return process


@contextmanager
def expecting_rejection(sandbox: Sandbox, match: str | None) -> Iterator[ExpectedRejection]:
    """Refused Subscribe requests are expected while this is open."""
    try:
        expected = ExpectedRejection(None if match is None else re.compile(match))
    except (TypeError, PatternError) as error:
        raise MisuseError(f"match={match!r} is not a regular expression: {error}") from error
    with sandbox.lock:
        sandbox.strictness.expected.append(expected)
    try:
        yield expected
    finally:
        with sandbox.lock:
            sandbox.strictness.expected.remove(expected)


def await_rejection(sandbox: Sandbox, expected: ExpectedRejection, timeout: float) -> None:
    """Wait, in real seconds, for a rejection. Raises ProtocolViolation when none came."""
    deadline = Real.monotonic() + arguments.timeout(timeout)
    with sandbox.lock:
        while not expected.rejections:
            remaining = deadline - Real.monotonic()
            sandbox.engine.check_interrupt()
            dead = sandbox.children.dead(None)
            if remaining > 0 and not expected.others and dead is None:
                sandbox.lock.wait(remaining)
                continue
            pattern = f" that matches {expected.pattern.pattern!r}" if expected.pattern else ""
            lines = [f"expected a refused Subscribe{pattern} within {timeout:g} s, but there was none; seen instead:"]
            lines += [f"  {other!r}" for other in expected.others]
            lines += [f"  {one!r}" for one in sandbox.subscriptions] or ["  no subscription either"]
            lines += [f"  {sandbox.children.obituary(dead)}"] if dead else []
            sandbox.strictness.take()
            raise ProtocolViolation("\n".join(lines))
