"""A clean environment within a test: in the place of another one, at its address, for as long as it is open.

The other one is suspended meanwhile. Its time stands still and it delivers nothing; a poll that its extensions hold is
not answered, and what else they ask is answered 403 and recorded as a stray's.
"""

from ..model.errors import MisuseError
from ..settings import Settings
from .assembly import assemble
from .process_wide import IDENTIFIERS
from .sandbox import Sandbox


def in_place_of(outer: Sandbox, settings: Settings) -> Sandbox:
    """An environment that is open, and until whose end `outer` is suspended.

    The sandbox's names resolve as before, so that one listener may serve many such environments. Raises MisuseError
    where `outer` is closed or suspended, or a call moves its time.
    """
    outer.require_open()
    if outer.turns.held:
        raise MisuseError(
            "fresh() was entered while another call still moves the time of this environment: let that one return first"
        )
    inner = assemble(settings, f"{outer.seed}/fresh", limit=outer.limit, server=outer.server, address=outer.address)
    with outer.lock:
        outer.clock.suspend(True)
        outer.fresh = inner
    IDENTIFIERS.retire(outer.identifiers)
    outer.server.move_on(outer.desk.handle)
    inner.undo.callback(_resume, outer, inner)
    return inner


def _resume(outer: Sandbox, inner: Sandbox) -> None:
    """What comes first when `inner` has closed: new connections are `outer`'s again, which goes on where it was."""
    IDENTIFIERS.restore(outer.identifiers)
    outer.server.attach(outer.desk.handle, outer.desk.malformed)
    outer.children.hints |= inner.children.hints
    with outer.lock:
        outer.clock.suspend(False)
        outer.lock.notify_all()
