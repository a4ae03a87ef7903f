"""What is kept of a child's start, for the next execution environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """How a process of this environment was started."""

    argv: Sequence[str | os.PathLike[str]]
    name: str
    variables: Mapping[str, str]
    cwd: str | os.PathLike[str] | None
    layer: str | os.PathLike[str] | None
