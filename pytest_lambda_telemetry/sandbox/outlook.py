"""What is still to come in an environment, gathered from its parts: what is buffered, who is late, what is planned."""

from collections.abc import Iterable, Iterator

from ..engine.recordings import Recordings
from ..engine.subscriber import Subscriber
from ..host.process import ExtensionProcess
from ..model.records import Attempt
from ..views.pending import Fault, Pending, Troubled, Waiting
from .children import Children
from .plan import Plan


def outlook(
    subscribers: Iterable[Subscriber],
    recordings: Recordings,
    children: Children,
    plan: Plan,
    *,
    now_us: int,
    frozen: bool,
    ended: bool,
) -> Pending:
    """All that is pending at this moment of elapsed time; the caller holds the environment's lock."""
    subscribed = list(subscribers)
    return Pending(
        waiting=[line for one in subscribed for line in _waiting(one, recordings, now_us, ended=ended)],
        nobody=not (subscribed or ended),
        processes=[
            Troubled(one.name, state, one.last_lines) for one in children if (state := _trouble(one)) is not None
        ],
        faults=[] if ended else [Fault(one.said, one.times or 1, one.used) for one in plan.asked_for],
        frozen=frozen,
    )


def _waiting(subscriber: Subscriber, recordings: Recordings, now_us: int, *, ended: bool) -> Iterator[Waiting]:
    batches, name, sent = subscriber.buffer.waiting, subscriber.name, subscriber.in_flight
    ended = ended or subscriber.ended
    attempts = recordings.progress(sent).attempts if sent is not None and not ended else ()
    if attempts:
        head, batches = batches[0], batches[1:]
        yield Waiting(name, len(head.parts), head.due_us - now_us, head.attempts, _ended(attempts[-1]))
    if batches:
        count = sum(len(batch.parts) for batch in batches)
        yield Waiting(name, count, batches[0].due_us - now_us, behind=bool(attempts), ended=ended)


def _ended(attempt: Attempt) -> str:
    return f"answered {attempt.status}" if attempt.error is None else attempt.error


def _trouble(process: ExtensionProcess) -> str | None:
    """What is wrong with a process, in words; None where nothing is."""
    code = process.returncode
    if process.registered:
        return f"ended with exit code {code}" if code and not process.killed else None
    if code is None or process.killed:
        return "has not registered"
    return f"ended with exit code {code} and has not registered"
