"""The OpenAPI 3.1 document: made of the table of calls, their annotations and docstrings."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from ..model.checks import is_json
from ..model.event import Event
from ..model.headers import Headers
from ..script import Script
from ..views.entries import Entry
from ..views.trails import Trail
from .given import Argument, kinds_of
from .members import Kind
from .operations import Operation
from .values import annotation_of, names_of

Json = dict[str, Any]
_PACKAGE = "pytest-lambda-telemetry"
_SCALARS: Mapping[object, Json] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string"},
    NoneType: {"type": "null"},
    None: {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    timedelta: {"type": "number", "description": "seconds"},
    Headers: {"type": "object", "additionalProperties": {"type": "string"}},
}
_BYTES: Json = {
    "type": "object",
    "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["base64"],
    "additionalProperties": False,
}
_LISTS = (list, tuple, Iterable, Sequence)
_FAILURES = {
    "400": "misuse: the message says what was wrong, and what is valid",
    "401": "the token is missing or wrong",
    "403": "a foreign Host or Origin",
    "404": "what the path names does not exist",
    "408": "a wait ran out; the message says what was seen instead",
    "409": "violation: an assertion failed, or the extension broke the contract with Lambda",
    "410": "what was asked for was let go to keep the journal within its limit, or a record of it was cut",
    "415": "the body is no application/json",
    "503": "the environment was reset, or the server ends",
}


class _Schemas:
    """Schemas of annotations; classes are named components, each once."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}

    def of(self, annotation: Any, *, sent: bool = False) -> Json:
        """`sent`: of what a client sends."""
        if annotation in (Any, object):
            return {}
        if (scalar := _scalar(annotation)) is not None:
            return {"anyOf": [scalar, _BYTES]} if sent and annotation is bytes else scalar
        kinds = kinds_of(annotation)
        if len(kinds) > 1:
            return self._union(kinds, sent)
        origin = get_origin(annotation) or annotation
        if origin is Literal:
            return {"enum": list(get_args(annotation))}
        if origin in _LISTS:
            return self._list(annotation, sent)
        if is_typeddict(annotation):
            return self._component(annotation, partial(self._typed_dict, annotation))
        if isinstance(origin, type) and issubclass(origin, PathLike):
            return {"type": "string"}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            values = get_args(annotation)[1:] or (Any,)
            return {"type": "object", "additionalProperties": self.of(values[0], sent=sent)}
        return self._component(annotation, partial(self._class, annotation, sent))

    def _union(self, kinds: tuple[Any, ...], sent: bool) -> Json:
        kinds = tuple(one for one in kinds if not _is_code(one))
        if object in kinds:
            return {}
        made = [self.of(one, sent=sent) for one in kinds]
        unique = [one for place, one in enumerate(made) if one not in made[:place]]
        return unique[0] if len(unique) == 1 else {"anyOf": unique}

    def _list(self, annotation: Any, sent: bool) -> Json:
        arguments = get_args(annotation)
        if get_origin(annotation) is tuple and arguments[-1] is not ...:
            items = [self.of(one, sent=sent) for one in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        return {"type": "array", "items": self.of(arguments[0], sent=sent) if arguments else {}}

    def _component(self, kind: Any, make: Callable[[], Json]) -> Json:
        name = kind.__name__
        if name not in self.components:
            self.components[name] = {}  # it may hold itself
            self.components[name] = {**make(), "description": inspect.getdoc(kind) or ""}
        return {"$ref": f"#/components/schemas/{name}"}

    def _typed_dict(self, kind: Any) -> Json:
        hints = get_type_hints(kind)
        return _closed({name: self.of(hint, sent=True) for name, hint in hints.items()})

    def _class(self, kind: Any, sent: bool) -> Json:
        if kind is Event:
            properties: Json = {"type": {"type": "string"}, "record": {}, "time": {"type": ["string", "null"]}}
            return {"type": "object", "properties": properties, "required": ["type", "record"]}
        if kind is Script:
            return {"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "array", "minItems": 2}]}}
        if sent and is_dataclass(kind):
            return _closed({field.name: self.of(field.type, sent=True) for field in fields(kind)})
        return {"type": "object", "properties": self._shown(kind)}

    def _shown(self, kind: type) -> Json:
        """The properties of a value that is returned; of one inside another not all of them are there."""
        hints = {} if kind is Entry else get_type_hints(kind)
        shown: Json = {}
        for name in names_of(kind):
            getter = annotation_of(kind, name)
            annotation = get_type_hints(getter)["return"] if getter else hints.get(name, _UNTOLD.get(name, Any))
            shown[name] = self.of(annotation)
            if annotation is bytes:
                shown[f"{name}_base64"] = {"type": "string", "contentEncoding": "base64"}
        return shown


_UNTOLD: Mapping[str, Any] = {
    "request_id": str,
    "status": str,
    "outcome": str,
    "deadline": datetime,
    "over": bool,
    "ready_before_runtime_done": tuple[str, ...],
    "name": str,
    "pid": int,
    "registered": bool,
    "killed": bool,
    "address": str,
    "trails": tuple[Trail, ...],
    "number": int,
    "at": datetime,
    "elapsed": timedelta,
    "kind": str,
    "who": str,
    "what": str,
    "verdict": str,
    "fact": str,
}
"""The attributes of live objects, which have no annotation in their class."""


def _scalar(annotation: Any) -> Json | None:
    try:
        return _SCALARS.get(annotation)
    except TypeError:  # it has no hash
        return None


def _is_code(annotation: Any) -> bool:
    return get_origin(annotation) is get_origin(Callable[[], None])


def _closed(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def document(operations: Iterable[Operation]) -> Json:
    """The whole document."""
    schemas = _Schemas()
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    schemas.components["Error"] = {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["error", "message"],
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{_PACKAGE}: the server's control API",
            "version": _version(),
            "description": "A fake AWS Lambda execution environment with virtual time. docs/server.md tells of it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:  # a zipapp without its metadata
        return "0"


def _operation(operation: Operation, schemas: _Schemas) -> Json:
    summary, _, rest = operation.text.partition("\n")
    made: Json = {
        "operationId": _identifier(operation),
        "summary": summary,
        "description": rest.strip(),
        "responses": _responses(operation, schemas),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    arguments = [one for one in operation.arguments if not one.unsendable]
    if operation.kind is Kind.READ:
        parameters += [
            {"name": one.name, "in": "query", "required": one.required, "schema": _argument(one, schemas)}
            for one in arguments
        ]
    elif operation.method == "POST":
        named = [one for one in arguments if not one.open]
        required = [one.name for one in named if one.required]
        body: Json = {
            "type": "object",
            "properties": {one.name: _argument(one, schemas) for one in named},
            "additionalProperties": len(named) < len(arguments),
            **({"required": required} if required else {}),
        }
        made["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": body}}}
    if parameters:
        made["parameters"] = parameters
    return made


def _identifier(operation: Operation) -> str:
    words = [part.strip("{}") for part in operation.path.split("/")[2:]]
    return "_".join([operation.method.lower(), *words])


def _argument(argument: Argument, schemas: _Schemas) -> Json:
    schema = schemas.of(argument.annotation, sent=True)
    if argument.spread:
        return {"type": "array", "items": schema}
    has_default = argument.default is not None and is_json(argument.default)
    return {**schema, "default": argument.default} if has_default else schema


def _responses(operation: Operation, schemas: _Schemas) -> Json:
    value = schemas.of(operation.answer)
    properties: Json = {"value": value}
    if operation.kind is not Kind.READ:
        properties["warnings"] = {"type": "array", "items": {"type": "string"}}
    answer: Json = {"application/json": {"schema": {"type": "object", "properties": properties}}}
    if operation.path.endswith("/timeline"):
        answer = {"text/plain": {"schema": {"type": "string"}}, "text/html": {"schema": {"type": "string"}}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "what it returns", "content": answer},
        **{status: {"description": text, "content": error} for status, text in _FAILURES.items()},
    }
