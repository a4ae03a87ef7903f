"""Where a registration comes from: Lambda knows an extension by the name of the file that it has started."""

from ..host.peers import held_by
from ..wire.exchange import HttpRequest
from .children import Children


class Origins:
    """Of one environment. The caller holds its lock."""

    def __init__(self, children: Children) -> None:
        self._children = children

    def file_name(self, request: HttpRequest, name: str) -> str | None:
        """The file name of the child that registers with this request, or in whose stead a process it started does.

        None where that is not certain: an extension of this process, a machine that does not tell, and a child that
        has registered already and now does so once more.
        """
        waiting = {process.pid: process for process in self._children.unregistered}
        if not waiting or {process.name for process in waiting.values()} == {name}:  # as a rule: nothing to find out
            return None
        addresses = request.addresses()
        holders = held_by(*addresses, waiting) if addresses else []
        if len(holders) != 1:
            return None
        process = waiting[holders[0]]
        self._children.wrapped.saw(name, process)  # it may be an internal extension
        return process.name
