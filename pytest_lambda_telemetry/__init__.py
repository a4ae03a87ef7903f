"""A fake AWS Lambda Telemetry API for pytest: test Lambda extensions offline, with time under the test's control."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import events
    from .aio import AsyncLambdaTelemetry
    from .environment import LambdaTelemetry
    from .host.process import ExtensionProcess
    from .model.errors import LambdaTelemetryError, MisuseError, ProtocolViolation, WaitTimeout
    from .model.event import Event
    from .model.records import (
        Attempt,
        Buffering,
        Delivery,
        Destination,
        Extension,
        Rejection,
        Request,
        Subscription,
    )
    from .sandbox.delivery_faults import DeliveryFault
    from .sandbox.invocation import Invocation
    from .sandbox.violations import ExpectedRejection
    from .script import Script
    from .settings import Retry, Settings

__all__ = [
    "AsyncLambdaTelemetry",
    "Attempt",
    "Buffering",
    "Delivery",
    "DeliveryFault",
    "Destination",
    "Event",
    "ExpectedRejection",
    "Extension",
    "ExtensionProcess",
    "Invocation",
    "LambdaTelemetry",
    "LambdaTelemetryError",
    "MisuseError",
    "ProtocolViolation",
    "Rejection",
    "Request",
    "Retry",
    "Script",
    "Settings",
    "Subscription",
    "WaitTimeout",
    "events",
]

_HOMES = {
    "AsyncLambdaTelemetry": "aio",
    "DeliveryFault": "sandbox.delivery_faults",
    "Event": "model.event",
    "ExpectedRejection": "sandbox.violations",
    "ExtensionProcess": "host.process",
    "Invocation": "sandbox.invocation",
    "LambdaTelemetry": "environment",
    "LambdaTelemetryError": "model.errors",
    "MisuseError": "model.errors",
    "ProtocolViolation": "model.errors",
    "Retry": "settings",
    "Script": "script",
    "Settings": "settings",
    "WaitTimeout": "model.errors",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use: pytest imports this package in every session, used or not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "events":
        return import_module(".events", __name__)
    found: object = getattr(import_module(f".{_HOMES.get(name, 'model.records')}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
