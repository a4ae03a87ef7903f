"""The two tables, `MISTAKES` and `TWINS`, and what their rows are made of.

A row is a function of a `Field`: an extension with one mistake and the test of it, which asserts nothing.
"""

import re
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_lambda_telemetry import ExtensionProcess, LambdaTelemetry, ProtocolViolation, Settings
from tests.field.raw import Reaction, serve
from tests.support.helpers import Listener
from tests.support.programs import program

By = Literal["extension", "test"]


@dataclass(frozen=True, slots=True)
class Field:
    """What a row works with: the environment of its test, and listeners and programs for its extension."""

    lambda_telemetry: LambdaTelemetry
    folder: Path
    stack: ExitStack

    def listener(self, answers: Callable[[int], int] = lambda _number: 200, port: int = 0) -> int:
        """The port of a listener that answers its first, second, … batch with these statuses."""
        return self.stack.enter_context(Listener(answers, port)).port

    def raw_listener(self, reaction: Reaction, host: str = "127.0.0.1") -> int:
        """The port of a listener that does this with each connection."""
        return self.stack.enter_context(serve(reaction, host))

    def run(self, program_text: str, name: str = "ext.py") -> ExtensionProcess:
        """Start an extension that is a process of its own, written in Python with the helpers of `programs`."""
        return self.lambda_telemetry.run_extension(program(self.folder, program_text, name))


Live = Callable[[Field], object]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`said` is the first line of the error of kind `told`; what differs from run to run is written as by `steady`."""

    name: str
    by: By
    said: str
    live: Live
    told: type[Exception]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Twin:
    """Looks like a mistake, and works on Lambda."""

    name: str
    live: Live
    settings: Settings


MISTAKES: list[Mistake] = []
TWINS: list[Twin] = []

SHORT = Settings(extension_timeout_s=0.2)
"""For extensions in the test's process: one that does not listen or ask by then never will."""
PATIENT = Settings(extension_timeout_s=30, delivery_timeout_s=30)
"""For whatever comes in the end, on a busy machine too."""


def mistake(
    name: str,
    said: str,
    *,
    by: By = "extension",
    told: type[Exception] = ProtocolViolation,
    settings: Settings = SHORT,
) -> Callable[[Live], Live]:
    """A row of `MISTAKES`."""

    def add(live: Live) -> Live:
        MISTAKES.append(Mistake(name, by, said, live, told, settings))
        return live

    return add


def twin(name: str, settings: Settings = PATIENT) -> Callable[[Live], Live]:
    """A row of `TWINS`."""

    def add(live: Live) -> Live:
        TWINS.append(Twin(name, live, settings))
        return live

    return add


def outcome(row: Mistake | Twin, folder: Path) -> Exception | None:
    """How the test of a row ends: with this error or warning, or well."""
    try:
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("error")
            with LambdaTelemetry(row.settings) as lambda_telemetry:
                row.live(Field(lambda_telemetry, folder, stack))
    except Exception as error:  # whatever it is, the caller compares it
        return error
    return None


def steady(error: Exception | None) -> str:
    """The first line of an error, with PORT and ID for what differs from run to run, and files without their folder."""
    first = str(error).partition("\n")[0]
    first = re.sub(r"(?<=[' (])/\S+/(?=\w+\.py:|my-extension)|(?<=\.py:)\d+", "", first)
    first = re.sub(r"(?<=localdomain:)\d+|(?<=port )(?!9001)\d{4,}", "PORT", first)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", first)
