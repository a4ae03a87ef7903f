"""Bodies after their Content-Encoding, within bounds: gzip and deflate, and zstd where this Python has it."""

import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

LIMIT = 64 << 20
"""The largest body, in bytes, when it is unpacked."""
_MOST_LAYERS = 8
_MOST_MEMBERS = 10_000
_FED, _TAKEN = 1 << 16, 1 << 20
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Undecodable(Exception):
    """A body that cannot be unpacked: the status to answer, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Broken(Exception):
    pass


Unpack = Callable[[bytes, int], bytes]
"""Unpacks a body into so many bytes at most. Raises Undecodable, or _Broken, which says how."""


def decode(raw: bytes, content_encoding: str, limit: int = LIMIT) -> tuple[bytes, str]:
    """The body behind a Content-Encoding; and a remark where it stays as it was sent, or "".

    Raises Undecodable for one that is broken, or larger than `limit` bytes once it is unpacked.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    layers = [name for name in names if name not in ("", "identity")]
    if len(layers) > _MOST_LAYERS:
        raise Undecodable(400, f"the body is encoded {len(layers)} times over, more than {_MOST_LAYERS} times")
    if unknown := [name for name in layers if name not in _UNPACKERS]:
        why = "; Python has zstd from 3.14 on" if unknown[0] == "zstd" else ""
        return raw, f"body left as it was sent: Content-Encoding {unknown[0]} is not undone here{why}"
    body = raw
    for name in reversed(layers):  # the one that was applied last is undone first
        try:
            body = _UNPACKERS[name](body, limit)
        except _Broken as broken:
            raise Undecodable(400, f"the body is no valid {name}: {broken}") from None
    return body, ""


def _gunzip(data: bytes, limit: int) -> bytes:
    return _unpack(data, limit, lambda: zlib.decompressobj(_GZIP), zlib.error, padded=True)


def _inflate(data: bytes, limit: int) -> bytes:
    """Of deflate, or what some clients mean by it: without zlib's frame around it."""
    try:
        return _unpack(data, limit, lambda: zlib.decompressobj(_ZLIB), zlib.error)
    except _Broken as broken:
        try:
            return _unpack(data, limit, lambda: zlib.decompressobj(_BARE), zlib.error)
        except _Broken:
            raise broken from None


def _unzstd(data: bytes, limit: int) -> bytes:
    zstd = import_module("compression.zstd")
    return _unpack(data, limit, zstd.ZstdDecompressor, zstd.ZstdError)


_UNPACKERS: dict[str, Unpack] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate}
if sys.version_info >= (3, 14) and find_spec("_zstd") is not None:
    _UNPACKERS["zstd"] = _unzstd


def _unpack(
    data: bytes,
    limit: int,
    make: Callable[[], Any],  # Any: a decompressor of the standard library's, which have no common type
    error: type[Exception],
    *,
    padded: bool = False,
) -> bytes:
    """All members of a body, one after the other; `padded`: zeros may follow the last one."""
    view, at, members = memoryview(data), 0, 0
    pieces: list[bytes] = []
    size = 0
    while at < len(view):
        if padded and members and view[at] == 0:
            if any(view[at:]):
                raise _Broken("what follows its end is no other member")
            break
        members += 1
        if members > _MOST_MEMBERS:
            raise _Broken(f"it has more than {_MOST_MEMBERS:,} members")
        member, pending = make(), b""
        while not member.eof:
            if not pending:
                pending = bytes(view[at : at + _FED])
                at += len(pending)
            try:
                piece = member.decompress(pending, _TAKEN)
            except error as broken:
                raise _Broken(str(broken)) from None
            pending = getattr(member, "unconsumed_tail", b"")  # zlib's; the newer ones keep it themselves
            if not (piece or pending or member.eof) and at == len(view):
                raise _Broken("it ends too early")
            size += len(piece)
            if size > limit:
                raise Undecodable(413, f"the body is larger than {limit:,} bytes once it is unpacked")
            pieces.append(piece)
        at -= len(member.unused_data)
    return b"".join(pieces)
