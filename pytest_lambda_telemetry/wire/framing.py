"""Where lines, fields and bodies of HTTP/1.1 end, for both sides of a connection: strictly, and within bounds.

Whatever two readers could understand differently is refused: it is how one message is taken for two. A line of a head
may end with LF alone, as RFC 9112 allows; inside a chunked body every line ends with CR LF.
"""

import re
from collections.abc import Iterator

from .sockets import DeadlineSocket

LINE_LIMIT = 65536
FIELD_LIMIT = 100
HEAD_LIMIT = 1 << 20
"""The longest line, the most fields and the most bytes of fields of one message."""

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""What a method and the name of a field are made of."""

_BLOCK = 32768
_EXCESS = 16384
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*"
_FIELD = re.compile(rb"(%b):(%b)" % (TOKEN, _TEXT))
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%b)?\r\n" % _TEXT)

Fields = list[tuple[str, str]]


class BadFraming(Exception):
    """What arrived is no HTTP/1.1. `status` is what a server answers to it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Ended(BadFraming):
    """The stream ended where more was to come."""

    def __init__(self) -> None:
        super().__init__("the connection ended in the middle of the message")


class Reader:
    """What arrives on a connection, buffered. `consumed` counts the bytes that were taken out of it."""

    def __init__(self, sock: DeadlineSocket) -> None:
        self._sock = sock
        self._block = memoryview(bytearray(_BLOCK))
        self.buffer = bytearray()
        self.consumed = 0

    def fill(self) -> bool:
        """Wait for bytes; False at the end of the stream. Raises OSError, as every other method here."""
        count = self._sock.recv_into(self._block)
        self.buffer += self._block[:count]
        return count > 0

    def peek(self, size: int) -> bytes:
        """The next bytes, not taken; fewer than `size` at the end of the stream only."""
        while len(self.buffer) < size and self.fill():
            pass
        return bytes(self.buffer[:size])

    def take(self, size: int) -> bytes:
        """Take at most `size` bytes that have arrived already."""
        if size >= len(self.buffer):
            taken = bytes(self.buffer)
            self.buffer.clear()
        else:
            taken = bytes(self.buffer[:size])
            del self.buffer[:size]
        self.consumed += len(taken)
        return taken

    def line(self) -> bytes:
        """A line with its end; one that is too long comes without. Raises Ended."""
        searched = 0
        while (end := self.buffer.find(b"\n", searched, LINE_LIMIT)) < 0:
            searched = len(self.buffer)
            if searched >= LINE_LIMIT:
                return self.take(LINE_LIMIT)
            if not self.fill():
                raise Ended
        return self.take(end + 1)

    def counted(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes, in pieces. Raises Ended."""
        while length:
            if not self.buffer and not self.fill():
                raise Ended
            piece = self.take(length)
            length -= len(piece)
            yield piece

    def endless(self) -> Iterator[bytes]:
        """Everything that comes, in pieces, until the stream ends: raises Ended then."""
        while True:
            if not self.buffer and not self.fill():
                raise Ended
            yield self.take(_BLOCK)


def read_fields(reader: Reader, *, trailer: bool = False) -> Fields:
    """Fields up to the empty line, in order; values without the blanks around them. Raises BadFraming."""
    fields: Fields = []
    start = reader.consumed
    while True:
        line = reader.line()
        if not line.endswith(b"\n"):
            raise BadFraming(f"a header line is longer than {LINE_LIMIT} bytes", 431)
        text = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        if trailer and not line.endswith(b"\r\n"):
            raise BadFraming(f"a trailer line ends with LF alone: {line[:40]!r}")
        if not text:
            return fields
        if len(fields) == FIELD_LIMIT:
            raise BadFraming(f"there are more than {FIELD_LIMIT} header lines", 431)
        if reader.consumed - start > HEAD_LIMIT:
            raise BadFraming(f"the header is longer than {HEAD_LIMIT} bytes", 431)
        if text[0] in b" \t":
            folded = f"header {fields[-1][0]}" if fields else "the first header line"
            raise BadFraming(f"{folded} is folded over several lines, which HTTP/1.1 forbids")
        found = _FIELD.fullmatch(text)
        if not found:
            raise BadFraming(
                "a header line is malformed: each has the form Name: value, in printable characters;"
                f" got {bytes(text[:60])!r}"
            )
        fields.append((found[1].decode(), found[2].strip(b" \t").decode("latin-1")))


def check_field(name: str, value: str) -> None:
    """Raise ValueError for what cannot be sent as one line of a header."""
    found = _FIELD.fullmatch(f"{name}: {value}".encode("latin-1"))
    if not found or found[1].decode() != name:
        raise ValueError(f"{name!r}: {value!r} cannot be sent as a header line")


def values(fields: Fields, name: str) -> list[str]:
    """The values of every field of that (lower-case) name."""
    return [value for key, value in fields if key.lower() == name]


def connection_options(fields: Fields) -> set[str]:
    """What the Connection fields list, in lower case."""
    return {option.strip(" \t").lower() for value in values(fields, "connection") for option in value.split(",")}


def read_chunks(reader: Reader) -> Iterator[bytes]:
    """A chunked body, in pieces; what its trailer says is passed over. Raises BadFraming."""
    excess = 0
    while True:
        line = reader.line()
        size = _CHUNK.fullmatch(line)
        if not size:
            raise BadFraming(f"bad chunk: expected its size in hexadecimal and a line end, got {line[:40]!r}")
        length = int(size[1], 16)
        if not length:
            break
        excess = max(0, excess + len(line) - 16 - 2 * length)  # what extensions cost beyond any honest use
        if excess > _EXCESS:
            raise BadFraming("bad chunk: the extensions of the chunks are longer than their contents")
        yield from reader.counted(length)
        for byte in b"\r\n":
            end = reader.peek(1)
            if not end:
                raise Ended
            if end[0] != byte:
                raise BadFraming(f"bad chunk: expected a line end after {length} bytes, got {end!r}")
            reader.take(1)
    read_fields(reader, trailer=True)
