"""A fake AWS Lambda Telemetry API for pytest: test Lambda extensions offline, with time under the test's control."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import events, scenarios
    from .aio import AsyncLambdaTelemetry
    from .api.routes import RouteName
    from .backend.faults import BackendFault
    from .environment import LambdaTelemetry
    from .host.process import ExtensionProcess
    from .model.backend import BackendRequest
    from .model.errors import LambdaTelemetryError, LambdaTelemetryWarning, MisuseError, ProtocolViolation, WaitTimeout
    from .model.event import Event, Log, Record
    from .model.facts import Fact
    from .model.headers import Headers
    from .model.records import (
        Attempt,
        Buffering,
        BufferingOptions,
        Delivery,
        Destination,
        Extension,
        Rejection,
        Request,
        Subscription,
    )
    from .plugin.factory import LambdaTelemetryFactory
    from .protocol.fields import Derived
    from .protocol.profiles import Fidelity
    from .protocol.schema import (
        InitializationType,
        InitPhase,
        LifecycleEvent,
        SchemaVersion,
        ShutdownReason,
        Span,
        Status,
        TelemetryType,
        Tracing,
    )
    from .recorded import Target
    from .sandbox.backend import AsyncBackend, Backend
    from .sandbox.delivery_faults import DeliveryFault
    from .sandbox.invocation import Invocation, InvocationOptions, InvocationOutcome
    from .sandbox.violations import ExpectedRejection
    from .script import Script
    from .settings import ClockName, LogFormat, Retry, Settings, SettingsOptions
    from .story.lifecycles import ScriptOptions
    from .story.scenario import Change, FailBackend, FailDelivery, Moment, MomentName, RejectCall, Scenario
    from .story.steps import (
        Action,
        Advance,
        EndInit,
        Flush,
        Freeze,
        Inject,
        Invoke,
        Later,
        Restart,
        ScenarioAction,
        Shutdown,
        Step,
        Thaw,
    )
    from .views.entries import Entry
    from .views.ledger import Ledger
    from .views.trails import Trail

__all__ = [
    "Action",
    "Advance",
    "AsyncBackend",
    "AsyncLambdaTelemetry",
    "Attempt",
    "Backend",
    "BackendFault",
    "BackendRequest",
    "Buffering",
    "BufferingOptions",
    "Change",
    "ClockName",
    "Delivery",
    "DeliveryFault",
    "Derived",
    "Destination",
    "EndInit",
    "Entry",
    "Event",
    "ExpectedRejection",
    "Extension",
    "ExtensionProcess",
    "Fact",
    "FailBackend",
    "FailDelivery",
    "Fidelity",
    "Flush",
    "Freeze",
    "Headers",
    "InitPhase",
    "InitializationType",
    "Inject",
    "Invocation",
    "InvocationOptions",
    "InvocationOutcome",
    "Invoke",
    "LambdaTelemetry",
    "LambdaTelemetryError",
    "LambdaTelemetryFactory",
    "LambdaTelemetryWarning",
    "Later",
    "Ledger",
    "LifecycleEvent",
    "Log",
    "LogFormat",
    "MisuseError",
    "Moment",
    "MomentName",
    "ProtocolViolation",
    "Record",
    "RejectCall",
    "Rejection",
    "Request",
    "Restart",
    "Retry",
    "RouteName",
    "Scenario",
    "ScenarioAction",
    "SchemaVersion",
    "Script",
    "ScriptOptions",
    "Settings",
    "SettingsOptions",
    "Shutdown",
    "ShutdownReason",
    "Span",
    "Status",
    "Step",
    "Subscription",
    "Target",
    "TelemetryType",
    "Thaw",
    "Tracing",
    "Trail",
    "WaitTimeout",
    "events",
    "scenarios",
]

_HOMES = {
    "aio": ("AsyncLambdaTelemetry",),
    "api.routes": ("RouteName",),
    "backend.faults": ("BackendFault",),
    "environment": ("LambdaTelemetry",),
    "host.process": ("ExtensionProcess",),
    "model.backend": ("BackendRequest",),
    "model.errors": (
        "LambdaTelemetryError",
        "LambdaTelemetryWarning",
        "MisuseError",
        "ProtocolViolation",
        "WaitTimeout",
    ),
    "model.event": ("Event", "Log", "Record"),
    "model.facts": ("Fact",),
    "model.headers": ("Headers",),
    "plugin.factory": ("LambdaTelemetryFactory",),
    "protocol.fields": ("Derived",),
    "protocol.profiles": ("Fidelity",),
    "protocol.schema": (
        "InitPhase",
        "InitializationType",
        "LifecycleEvent",
        "SchemaVersion",
        "ShutdownReason",
        "Span",
        "Status",
        "TelemetryType",
        "Tracing",
    ),
    "recorded": ("Target",),
    "sandbox.backend": ("AsyncBackend", "Backend"),
    "sandbox.delivery_faults": ("DeliveryFault",),
    "sandbox.invocation": ("Invocation", "InvocationOptions", "InvocationOutcome"),
    "sandbox.violations": ("ExpectedRejection",),
    "script": ("Script",),
    "settings": (
        "ClockName",
        "LogFormat",
        "Retry",
        "Settings",
        "SettingsOptions",
    ),
    "story.lifecycles": ("ScriptOptions",),
    "story.scenario": ("Change", "FailBackend", "FailDelivery", "Moment", "MomentName", "RejectCall", "Scenario"),
    "story.steps": (
        "Action",
        "Advance",
        "EndInit",
        "Flush",
        "Freeze",
        "Inject",
        "Invoke",
        "Later",
        "Restart",
        "ScenarioAction",
        "Shutdown",
        "Step",
        "Thaw",
    ),
    "views.entries": ("Entry",),
    "views.ledger": ("Ledger",),
    "views.trails": ("Trail",),
}
"""Where each public name lives; one that is not here is a value that was recorded."""


def __getattr__(name: str) -> object:
    """Load a public name on first use: pytest imports this package in every session, used or not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("events", "scenarios"):
        return import_module(f".{name}", __name__)
    home = next((home for home, names in _HOMES.items() if name in names), "model.records")
    found: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
