"""What one backend was sent, as a fold over the facts: bounded, with exact counts."""

from collections import Counter, OrderedDict

from ..model.backend import BackendAnswered, BackendCalled, BackendFact, BackendRequest, BackendReset


class Received:
    """The newest `limit` requests, oldest first, and how many there ever were. The caller holds the lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: OrderedDict[int, BackendRequest] = OrderedDict()
        self._paths: Counter[str] = Counter()
        self.count = 0

    def take(self, fact: BackendFact) -> None:
        """Fold in one fact of this backend."""
        match fact:
            case BackendCalled():
                self.count += 1
                path = fact.request.path
                if path in self._paths or len(self._paths) < self._limit:
                    self._paths[path] += 1
                self._requests[fact.number] = fact.request
                if len(self._requests) > self._limit:
                    self._requests.popitem(last=False)
            case BackendAnswered() if fact.number in self._requests:
                self._requests[fact.number] = fact.request
            case BackendReset():
                self._requests.clear()
                self._paths.clear()
                self.count = 0

    @property
    def requests(self) -> tuple[BackendRequest, ...]:
        """Each as it stands now."""
        return tuple(self._requests.values())

    def counted(self, path: str | None) -> int:
        """How many requests there were, to this path or to any."""
        return self.count if path is None else self._paths[path]

    def at(self, path: str | None) -> tuple[BackendRequest, ...]:
        """Those to this path, or to any."""
        return tuple(one for one in self._requests.values() if path in (None, one.path))
