"""The answer to a request of ours: read strictly, never past a bound, and never further than it goes."""

import re
from collections.abc import Iterator

from .framing import HEAD_LIMIT, BadFraming, Ended, Fields, Reader, connection_options, read_chunks, read_fields, values
from .sockets import DeadlineSocket

BODY_LIMIT = 1 << 20
"""How much of a body is read, framing included, to keep its connection; a longer one is cut off by closing."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_EARLY_LIMIT = 65536
_LENGTH = re.compile(r"[0-9]{1,18}")
_QUOTE_LIMIT = 60


class NoAnswer(ConnectionError):
    """The connection was closed where an answer was to begin."""


class Answer:
    """Reads the answer to one request. `status` is that of the final answer: interim ones (1xx) are passed over."""

    def __init__(self, sock: DeadlineSocket) -> None:
        self._reader = Reader(sock)
        self._broken: ConnectionError | None = None
        self._version = 1
        self._fields: Fields = []
        self.status = 0

    def take_early(self) -> bool:
        """Take in what arrives while the request is being sent; whether the rest of that is still wanted.

        It is after interim answers and after a 2xx: some listeners answer before they read. It is not once the peer has
        refused, has closed, or says what is no answer.
        """
        try:
            if not self._reader.fill():
                return False
        except ConnectionError as broken:
            self._broken = broken
            return False
        buffer = self._reader.buffer
        while not self._final and _END_OF_HEAD.search(buffer):
            self._read_one_head()
        if self._final:
            return 200 <= self.status < 300 and len(buffer) < BODY_LIMIT
        if b"\n" in buffer and not _STATUS_LINE.match(buffer):
            return False
        return len(buffer) < _EARLY_LIMIT

    def read_head(self) -> None:
        """Read as far as the body of the final answer. Raises BadFraming, OSError."""
        while not self._final:
            self._read_one_head()

    @property
    def _final(self) -> bool:
        return self.status >= 200 or self.status == 101  # 101 answers nothing we ask, but nothing else will come

    def _read_one_head(self) -> None:
        if self._reader.consumed > HEAD_LIMIT:
            raise BadFraming(f"its interim answers are longer than {HEAD_LIMIT} bytes")
        try:
            if not self._reader.peek(1):
                raise self._broken or NoAnswer
            line = self._reader.line()
            found = _STATUS_LINE.fullmatch(line)
            if not found:
                raise BadFraming(_quoted(line))
            self._fields = read_fields(self._reader)
        except Ended:
            raise BadFraming("it ended within its header") from None
        self._version, self.status = int(found[1]), int(found[2])

    def read_body(self) -> bool:
        """Read and forget the body; whether the connection can be used again. Raises BadFraming for a bad one.

        A body that breaks off, is too long or does not end in time is no failure: the status has been given.
        """
        start = self._reader.consumed
        try:
            for _ in self._body():
                if self._reader.consumed - start > BODY_LIMIT:
                    return False
        except (Ended, OSError):
            return False
        return self._stays() and not self._reader.buffer

    def _body(self) -> Iterator[bytes]:
        """The pieces of the body."""
        encodings, lengths = self._encodings, self._lengths
        if any(not _LENGTH.fullmatch(length) for length in lengths) or len(lengths) > 1:
            raise BadFraming(f"Content-Length {_listed(lengths)} is not one non-negative integer")
        if self.status in (101, 204, 304):
            return iter(())
        if encodings and self._version > 0:
            if [encoding.lower() for encoding in encodings] != ["chunked"]:
                raise BadFraming(f"Transfer-Encoding {_listed(encodings)} is unknown; chunked is the only one")
            return read_chunks(self._reader)
        if lengths and not encodings:
            return self._reader.counted(int(lengths[0]))
        return self._reader.endless()  # closing before its end would be a reset to who is writing it

    @property
    def _encodings(self) -> list[str]:
        return values(self._fields, "transfer-encoding")

    @property
    def _lengths(self) -> list[str]:
        """What was announced as the length; the same said twice counts once."""
        said = (length for value in values(self._fields, "content-length") for length in value.split(","))
        return list(dict.fromkeys(length.strip(" \t") for length in said))

    def _stays(self) -> bool:
        """Whether the peer keeps the connection after the end of the body."""
        options = connection_options(self._fields)
        if self.status == 101 or (self._encodings and (self._lengths or self._version == 0)):
            return False  # it speaks something else now, or two readers could differ in where the body ends
        return "close" not in options and (self._version > 0 or "keep-alive" in options)


def _quoted(line: bytes) -> str:
    text = line.decode("latin-1")
    return repr(text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}…")


def _listed(values: list[str]) -> str:
    return _quoted(", ".join(values).encode("latin-1"))
