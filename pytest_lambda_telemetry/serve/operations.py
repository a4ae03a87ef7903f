"""The table of all calls, made of members and their signatures: router and OpenAPI document are read off it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, get_type_hints

from ..host.process import ExtensionProcess
from ..model.checks import quoted, require
from ..model.errors import MisuseError
from ..sandbox.backend import Backend
from ..sandbox.invocation import Invocation
from ..sandbox.violations import ExpectedRejection
from ..views.ledger import Ledger
from .given import Argument, arguments_of, bind
from .members import BACKEND, ENVIRONMENT, INVOCATION, PROCESS, Kind, Members
from .round import Block, Round
from .values import plain

ROOT = "/v1"
Given = Mapping[str, Any]
Run = Callable[[Round, str, Given], object]
"""Carries out a call, with the name or id in its path (or "") and what it was given; returns JSON."""


class NotThere(Exception):
    """What the path names does not exist."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `path` may have one name in braces; `answer` is the annotation of what it returns."""

    method: str
    path: str
    kind: Kind
    text: str
    arguments: tuple[Argument, ...]
    answer: Any
    run: Run


def operations() -> Iterator[Operation]:
    """All calls that concern one environment."""
    yield from _environment()
    yield from _blocks("invocation", Invocation, INVOCATION)
    yield from _blocks("expect_rejection", ExpectedRejection, None)
    yield from _backends()
    yield from _processes()


# -- members -----------------------------------------------------------------------------------------------------------


def _member(
    members: Members,
    path: str,
    name: str,
    of: Callable[[Round, str], Any],
    then: Callable[[Round, Any], object] = lambda round, result: None,
    **special: Any,
) -> Operation:
    """The call of one member of the object that `of` finds; `special` replaces what is made of its signature.

    `then` is told what it returned.
    """
    member, kind = inspect.getattr_static(members.owner, name), members.kinds[name]
    call = member.fget if isinstance(member, property) else member
    arguments = () if isinstance(member, property) else arguments_of(member)
    method = "GET" if kind is Kind.READ else "POST"
    what = f"{method} {path}"

    def run(round: Round, identifier: str, given: Given) -> object:
        owner = of(round, identifier)
        if isinstance(member, property):
            refuse_options(what, given)
            return plain(getattr(owner, name))
        positional, named = bind(what, member, given)
        result = getattr(owner, name)(*positional, **named)
        then(round, result)
        return plain(result)

    made = {
        "method": method,
        "path": path,
        "kind": kind,
        "text": inspect.getdoc(call) or "",
        "arguments": arguments,
        "answer": get_type_hints(call).get("return", Any),
        "run": run,
    }
    return Operation(**{**made, **special})


def refuse_options(what: str, given: Given) -> None:
    """Raise MisuseError where something was sent that nobody asked for."""
    if given:
        raise MisuseError(f"{what} takes no options; it was sent {quoted(given)}: leave that out")


def _environment() -> Iterator[Operation]:
    special: dict[str, dict[str, Any]] = {
        "ledger": {"run": _ledger, "arguments": arguments_of(Ledger.trails)},
        "backend": {"then": lambda round, made: round.backends.setdefault(made.name, made)},
        "run_extension": {"then": Round.started},
        "invocation": {"run": _beginner("invocation"), "answer": Invocation},
        "expect_rejection": {"run": _beginner("expect_rejection"), "answer": ExpectedRejection},
    }
    for name in ENVIRONMENT.kinds:
        yield _member(ENVIRONMENT, f"{ROOT}/{name}", name, lambda round, _: round.environment, **special.get(name, {}))


def _ledger(round: Round, _: str, given: Given) -> object:
    positional, named = bind(f"GET {ROOT}/ledger", Ledger.trails, given)
    ledger = round.environment.ledger
    return {**plain(ledger), "trails": plain(ledger.trails(*positional, **named))}


# -- what is begun and ended -------------------------------------------------------------------------------------------


def _beginner(name: str) -> Run:
    member = inspect.getattr_static(ENVIRONMENT.owner, name)

    def run(round: Round, _: str, given: Given) -> object:
        positional, named = bind(f"POST {ROOT}/{name}", member, given)
        identifier, yielded = round.begin(name, lambda: getattr(round.environment, name)(*positional, **named))
        return {"id": identifier, **plain(yielded)}

    return run


def _blocks(name: str, kind: type, members: Members | None) -> Iterator[Operation]:
    path, each = f"{ROOT}/{name}", f"{ROOT}/{name}/{{id}}"
    ends = Kind.MOVE if ENVIRONMENT.kinds[name] is Kind.BLOCK else Kind.WAIT

    def found(round: Round, identifier: str) -> Block:
        blocks: Mapping[str, Block] = round.blocks.get(name, {})
        if identifier not in blocks:
            raise NotThere(f"there is no {name} {identifier!r} in this environment{_those(blocks)}")
        return blocks[identifier]

    def shown(identifier: str, block: Block) -> dict[str, object]:
        return {"id": identifier, "open": block.open, **plain(block.yielded)}

    def read(round: Round, identifier: str, given: Given) -> object:
        refuse_options(f"GET {each}", given)
        return shown(identifier, found(round, identifier))

    def read_all(round: Round, _: str, given: Given) -> object:
        refuse_options(f"GET {path}", given)
        return [shown(*one) for one in list(round.blocks.get(name, {}).items())]

    def end(round: Round, identifier: str, given: Given) -> object:
        refuse_options(f"DELETE {each}", given)
        block = found(round, identifier)
        round.end(block)
        return shown(identifier, block)

    text = inspect.getdoc(kind) or ""
    everyone = f"Every {name} that was begun, oldest first."
    yield Operation("GET", path, Kind.READ, everyone, (), GenericAlias(list, (kind,)), read_all)
    yield Operation("GET", each, Kind.READ, text, (), kind, read)
    leave = f"End what POST {path} has begun: what leaving its `with` block does."
    yield Operation("DELETE", each, ends, leave, (), kind, end)
    for member in members.kinds if members else ():
        yield _member(members or INVOCATION, f"{each}/{member}", member, lambda round, one: found(round, one).yielded)


# -- backends ----------------------------------------------------------------------------------------------------------


def _backends() -> Iterator[Operation]:
    path, each = f"{ROOT}/backend", f"{ROOT}/backend/{{name}}"

    def found(round: Round, name: str) -> Backend:
        if name not in round.backends:
            raise NotThere(f"there is no backend {name!r}{_those(round.backends)}; POST {path} makes one")
        return round.backends[name]

    def read(round: Round, name: str, given: Given) -> object:
        refuse_options(f"GET {each}", given)
        return plain(found(round, name))

    def read_all(round: Round, _: str, given: Given) -> object:
        refuse_options(f"GET {path}", given)
        return [plain(one) for one in list(round.backends.values())]

    def set_drops(round: Round, name: str, given: Given) -> object:
        require(given.keys() == {"value"}, "the body", given, '{"value": true} or {"value": false}')
        found(round, name).drop_idle_on_freeze = given["value"]
        return None

    text = inspect.getdoc(Backend) or ""
    yield Operation("GET", path, Kind.READ, "Every fake backend, oldest first.", (), list[Backend], read_all)
    yield Operation("GET", each, Kind.READ, text, (), Backend, read)
    for name in BACKEND.kinds:
        yield _member(BACKEND, f"{each}/{name}", name, found)
    drops = f"{each}/drop_idle_on_freeze"
    yield Operation("POST", drops, Kind.NOW, "Set it.", (Argument("value", bool),), None, set_drops)


# -- processes ---------------------------------------------------------------------------------------------------------


def _processes() -> Iterator[Operation]:
    path, each = f"{ROOT}/extension_processes", f"{ROOT}/extension_processes/{{name}}"

    def found(round: Round, name: str) -> ExtensionProcess:
        if (process := round.process(name)) is None:
            raise NotThere(
                f"there is no process {name!r}{_those(round.processes)}; POST {ROOT}/run_extension starts one"
            )
        return process

    def read(round: Round, name: str, given: Given) -> object:
        refuse_options(f"GET {each}", given)
        return plain(found(round, name))

    def read_all(round: Round, _: str, given: Given) -> object:
        refuse_options(f"GET {path}", given)
        return [plain(found(round, name)) for name in list(round.processes)]

    wait = inspect.getattr_static(PROCESS.owner, "wait")

    def await_end(round: Round, name: str, given: Given) -> object:
        _, named = bind(f"POST {each}/wait", wait, given)
        (timeout,) = (one.default for one in arguments_of(wait))
        return round.await_end(found(round, name), named.get("timeout", timeout))

    text = inspect.getdoc(ExtensionProcess) or ""
    everyone = "Every process that run_extension has started, the latest of each name."
    yield Operation("GET", path, Kind.READ, everyone, (), list[ExtensionProcess], read_all)
    yield Operation("GET", each, Kind.READ, text, (), ExtensionProcess, read)
    yield _member(PROCESS, f"{each}/wait", "wait", found, run=await_end)


def _those(names: Mapping[str, object]) -> str:
    return f"; there are {quoted(names)}" if names else "; there is none"
