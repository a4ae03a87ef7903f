"""What `run_extension` is given to run, and what Lambda calls it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..model.checks import is_list, repr_of
from ..model.errors import MisuseError


def arguments(argv: object) -> list[str]:
    """The arguments as strings. Raises MisuseError for one string, for none, and for what no system takes."""
    given = list(argv) if is_list(argv) and not isinstance(argv, os.PathLike) else []
    if not given:
        raise MisuseError(
            f"run_extension({repr_of(argv)}): expected a list of arguments, the program first;"
            " for a command line in one string use shlex.split"
        )
    texts = []
    for index, argument in enumerate(given):
        if not isinstance(argument, str | bytes | os.PathLike):
            shown = f"argument {index} is {repr_of(argument)}"
            raise MisuseError(f"run_extension({repr_of(argv)}): {shown}; pass a str or a path for every argument")
        texts.append(os.fsdecode(argument))
    return texts


_INTERPRETERS = {
    r"(python|pypy)[\d.]*": (r"-(?![WX])[A-Za-z]*[cm].*", r"-[WX]|--check-hash-based-pycs"),
    r"node|nodejs": (r"-[ep].*|--eval.*|--print.*", r"-r|--require|--import|--loader|-C|--conditions"),
    r"(ba|da|k|z)?sh": (r"-[A-Za-z]*c", r"-[oO]|--rcfile|--init-file"),
    r"ruby[\d.]*": (r"-e.*", r"-[rIC]"),
    r"perl[\d.]*": (r"-[eE].*", r"-[IM]"),
    r"java": (r"-m|--module", r"-cp|-classpath|--class-path|-p|--module-path"),
}
"""Interpreters by file name: their options that take code or a module instead of a file, and those with a value."""


def extension_name(argv: Sequence[str | os.PathLike[str]], name: str | None = None) -> str:
    """What Lambda calls this extension: `name`, or the whole file name of what is run, suffix included.

    Lambda names an external extension by its file in /opt/extensions and refuses a registration under another name
    (Extensions API), so a suffix is part of the name. Behind an interpreter it is the script's file name. Raises
    MisuseError where no file gives a name: with code or a module (`-c`, `-m`), or for an empty name.
    """
    if name is not None:
        if not isinstance(name, str) or not name.strip():
            raise MisuseError(f"run_extension(name={repr_of(name)}): the name of an extension is a non-empty str")
        return name
    program, *rest = arguments(argv)
    program = Path(program).name
    row = next((row for pattern, row in _INTERPRETERS.items() if re.fullmatch(pattern, program)), None)
    script = program if row is None else _script(rest, *row)
    if script is None:
        raise MisuseError(
            f"run_extension({[program, *rest]!r}): no file gives this extension its name;"
            " say name='…', the name it registers with"
        )
    return Path(script).name


def _script(options: list[str], code: str, valued: str) -> str | None:
    """The script that follows an interpreter's options; None when it is given code, a module, or nothing."""
    rest = iter(options)
    for argument in rest:
        if re.fullmatch(valued, argument):
            next(rest, None)
        elif argument == "-" or re.fullmatch(code, argument):
            return None
        elif not argument.startswith("-"):
            return argument
    return None
