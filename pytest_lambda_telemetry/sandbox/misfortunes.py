"""What goes wrong because a scenario says so, as entries of the plan. No test has asked for it, so nobody misses it."""

from collections.abc import Callable

from ..backend.faults import parse_fault as parse_backend_fault
from ..model.errors import MisuseError
from ..story.scenario import FailBackend, FailDelivery, Misfortune, RejectCall
from .delivery_faults import parse_fault
from .plan import BACKEND, CONNECTION, DELIVERY, KEPT, Planned, call_refusal


def planned(misfortune: Misfortune, is_shutting_down: Callable[[], bool]) -> Planned:
    """The entry of one. Raises MisuseError for a fault, route or status that there is not."""
    match misfortune:
        case FailDelivery():
            return Planned(
                where=DELIVERY,
                what=parse_fault(misfortune.fault),
                times=misfortune.times,
                matches=lambda subscription: misfortune.to in (None, getattr(subscription, "extension_name", None)),
                types=misfortune.types,
                chance=misfortune.chance,
            )
        case RejectCall(route=route, status=status, error_type=error_type, message=message):
            entry = call_refusal(route, status, error_type, message, 1)
            return Planned(where=route, what=entry.what, times=misfortune.times, chance=misfortune.chance)
        case FailBackend(fault=fault, path=path):
            what = parse_backend_fault(fault, path, misfortune.delay_ms)
            if misfortune.kept and fault != "timeout":
                raise MisuseError(f"FailBackend(kept=True) with {fault!r}: a kept connection has 'timeout' only")
            name = misfortune.backend
            return Planned(
                where=KEPT if misfortune.kept else CONNECTION if fault == "refuse" else BACKEND,
                what=what,
                times=misfortune.times,
                matches=lambda subject: (
                    (path is None or (isinstance(subject, tuple) and subject[1] == path))
                    and (is_shutting_down() or not misfortune.at_shutdown)
                ),
                chance=misfortune.chance,
                backend=name,
            )
