"""A layer: a folder that a child sees as /opt, as Lambda unpacks it; and which program it is that a child would run."""

import os
import shutil
from collections.abc import Mapping

from ..model.checks import require
from ..model.errors import MisuseError

PLACE = "/opt"
"""Where Lambda unpacks layers."""

_MOST_LINKS = 40  # as many as Linux follows
_FIRST_LINE = 256  # of a script: as much as Linux reads


def folder(layer: str | os.PathLike[str]) -> str:
    """The absolute path of a layer. Raises MisuseError when it is no folder."""
    require(isinstance(layer, str | os.PathLike), "layer", layer, "the path of a folder")
    path = os.path.abspath(os.fsdecode(layer))
    if not os.path.isdir(path):
        what = "is no folder" if os.path.exists(path) else "does not exist"
        raise MisuseError(
            f"layer={os.fsdecode(layer)!r} is not valid: {path} {what}; it must be the folder that an extension sees as"
            f" {PLACE}, with the extension in it as extensions/NAME"
        )
    return path


def refusal(layer: str, reason: str) -> str:
    """The sentence for a layer that the system does not mount."""
    remedy = "" if os.path.isdir(PLACE) else f"; this machine has no folder {PLACE}: make an empty one"
    return f"layer={layer!r}: the system refuses to show it as {PLACE}: {reason}{remedy}"


def find_directory(argv: list[str], cwd: str | None, layer: str | None) -> str | None:
    """The child's working directory, absolute where there is a layer. Raises MisuseError when it does not exist."""
    if layer is None:
        if cwd is not None and not os.path.isdir(cwd):
            raise MisuseError(f"run_extension({argv!r}): its working directory {cwd} does not exist")
        return cwd
    path = os.path.abspath(cwd or "")
    if not os.path.isdir(seen(path, layer)):
        hidden = f" where the layer {layer} is {PLACE}; say cwd='…'" if os.path.isdir(path) else ""
        raise MisuseError(f"run_extension({argv!r}): its working directory {path} does not exist{hidden}")
    return path


def find_program(argv: list[str], env: Mapping[str, str], cwd: str | None, layer: str | None = None) -> str:
    """The path of the program to run, found as the system would find it for the child. Raises MisuseError."""
    if "/" not in argv[0]:
        return _in_path(argv, env, layer)
    path = os.path.abspath(os.path.join(cwd or "", argv[0]))
    file = seen(path, layer)
    if not os.path.isfile(file):
        _refuse_hidden(argv, path, layer)
        raise MisuseError(f"run_extension({argv!r}): there is no file {path}{_told(file, path)}")
    if not os.access(file, os.X_OK):
        raise MisuseError(
            f"run_extension({argv!r}): {path} is not executable; make it so (chmod +x), or run it with its"
            f" interpreter: run_extension([sys.executable, {argv[0]!r}])"
        )
    if layer is not None and (interpreter := _interpreter(file)):
        _refuse_hidden(argv, interpreter, layer)
    return path


def _in_path(argv: list[str], env: Mapping[str, str], layer: str | None) -> str:
    places = env.get("PATH", os.defpath)
    if layer is None:
        if found := shutil.which(argv[0], path=places):
            return os.path.abspath(found)
    else:
        for place in map(os.path.abspath, filter(None, places.split(os.pathsep))):
            path = os.path.join(place, argv[0])
            if shutil.which(seen(path, layer)):
                return find_program([path, *argv[1:]], env, None, layer)
        if hidden := shutil.which(argv[0], path=places):
            _refuse_hidden(argv, os.path.abspath(hidden), layer)
    raise MisuseError(
        f"run_extension({argv!r}): there is no program {argv[0]!r} in PATH ({places});"
        f" for a file in the working directory say './{argv[0]}'"
    )


def seen(path: str, layer: str | None) -> str:
    """Where on this machine the file is that a child sees at this absolute path: links in a layer lead within it."""
    if layer is None:
        return path
    place, rest = "/", path.split("/")
    links = 0
    while rest:
        name = rest.pop(0)
        if name == "..":
            place = os.path.dirname(place)
        elif name not in ("", "."):
            here = os.path.join(place, name)
            if os.path.islink(_mapped(here, layer)) and here != PLACE and links < _MOST_LINKS:
                links += 1
                target = os.readlink(_mapped(here, layer))
                rest = target.split("/") + rest
                place = "/" if target.startswith("/") else place
            else:
                place = here
    return _mapped(place, layer)


def _mapped(path: str, layer: str) -> str:
    return layer + path[len(PLACE) :] if _below(path) else path


def _below(path: str) -> bool:
    return path == PLACE or path.startswith(f"{PLACE}/")


def _refuse_hidden(argv: list[str], path: str, layer: str | None) -> None:
    """A program that is there, or leads to one, below the machine's own /opt is hidden by the layer."""
    if layer is None or not os.path.exists(path) or os.path.exists(seen(path, layer)):
        return
    real = os.path.realpath(path)
    leads = f" (it is {real})" if real != path else ""
    raise MisuseError(
        f"run_extension({argv!r}): {path}{leads} cannot be run where the layer {layer} is {PLACE}: what this machine"
        f" has below {PLACE} is hidden there. Put it into the layer, or use an interpreter from elsewhere, for Python"
        f" a virtual environment that was made with one outside {PLACE}"
    )


def _interpreter(file: str) -> str | None:
    """The interpreter that a script's first line names."""
    try:
        with open(file, "rb") as script:
            line = script.read(_FIRST_LINE).partition(b"\n")[0]
    except OSError:
        return None
    words = line[2:].split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else None


def _told(file: str, path: str) -> str:
    return f" (in the layer it would be {file})" if file != path else ""
