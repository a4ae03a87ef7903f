"""To which moment of the story an action of a script belongs."""

from ..model.event import Event
from ..story.scenario import MomentName
from ..story.steps import Freeze, Invoke, ScenarioAction, Shutdown, Thaw

_OF_EVENTS: dict[str, MomentName] = {
    "platform.initStart": "init-begun",
    "platform.initRuntimeDone": "init-ended",
    "platform.extension": "init-ended",
    "platform.initReport": "init-ended",
    "platform.start": "invocation-begun",
    "function": "logs",
    "platform.runtimeDone": "runtime-done",
    "platform.report": "report",
}


def moment_of(action: ScenarioAction) -> MomentName | None:
    """None for what belongs to none."""
    match action:
        case Event():
            return _OF_EVENTS.get(action.type)
        case Invoke():
            return "invocation-begun"
        case Freeze():
            return "freeze"
        case Thaw():
            return "thaw"
        case Shutdown():
            return "shutdown"
    return None
