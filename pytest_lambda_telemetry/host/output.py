"""What a child has written, cut into lines and bounded: a gigabyte costs no more memory than a few megabytes."""

from collections import deque

LINE_LIMIT = 1024 * 1024
"""Bytes of one line; a longer one is cut there."""
INBOX_LINES = 10_000
INBOX_BYTES = 4 * 1024 * 1024
"""Lines that wait to be taken: at most so many, and so many bytes of text. The rest is dropped and counted."""
TAIL_LIMIT = 1024 * 1024
"""Bytes of output kept for a person to read: the last ones."""
_SHOWN_LINES, _SHOWN_CHARACTERS = 10, 300  # of a message: so many lines, and so much of each


class Output:
    """Bytes in, lines out. No I/O and no lock: its owner does both."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._cut = False  # the rest of the line being read is beyond the limit, and skipped
        self._lines: deque[tuple[str, int]] = deque()
        self._held = 0
        self._full = False  # from the first line that did not fit, until the lines are taken
        self._dropped_lines = 0
        self._dropped_bytes = 0
        self._notes: list[str] = []
        self._tail = bytearray()
        self._forgotten = 0
        self._forgotten_lines = 0

    def feed(self, data: bytes) -> None:
        """Take what was read. Lines end at a newline, which is no part of them, nor is a carriage return before it."""
        self._remember(data)
        first, newline, more = data.partition(b"\n")
        self._extend(first)
        if not newline:
            return
        self._end_line()
        whole, newline, rest = more.rpartition(b"\n")
        if newline:
            self._end_lines(whole)
        self._extend(rest)

    def finish(self) -> None:
        """There is no more: a last line without its newline is a line."""
        if self._partial or self._cut:
            self._end_line()

    @property
    def has_lines(self) -> bool:
        """Lines wait, or were dropped."""
        return bool(self._lines or self._dropped_lines)

    def take_lines(self, most: int = INBOX_LINES, most_bytes: int = INBOX_BYTES) -> tuple[list[str], int, int]:
        """The lines since the last call, oldest first, and how many lines and bytes of text were dropped.

        At most `most` lines, of which none begins after `most_bytes`; the rest waits on.
        """
        taken: list[str] = []
        taken_bytes = 0
        while self._lines and len(taken) < most and taken_bytes < most_bytes:
            line, size = self._lines.popleft()
            taken.append(line)
            taken_bytes += size
        self._held -= taken_bytes
        self._full = False
        dropped = self._dropped_lines, self._dropped_bytes
        self._dropped_lines = self._dropped_bytes = 0
        return taken, *dropped

    def take_notes(self) -> list[str]:
        """What the journal should say about the lines since the last call."""
        notes, self._notes = self._notes, []
        return notes

    @property
    def text(self) -> str:
        """The output so far; of a long one the last MiB, after a line that says how much is missing."""
        forgotten = self._forgotten + max(0, len(self._tail) - TAIL_LIMIT)
        text = self._tail[-TAIL_LIMIT:].decode("utf-8", "replace")
        return f"[{forgotten:,} bytes of earlier output are not kept]\n{text}" if forgotten else text

    @property
    def last_lines(self) -> str:
        """The last lines, indented, for a message: each cut where it is long, after a line that counts the others."""
        text = self._tail.decode("utf-8", "replace").removesuffix("\n")
        lines = [line.removesuffix("\r") for line in text.split("\n")] if text else []
        earlier = self._forgotten_lines + max(0, len(lines) - _SHOWN_LINES)
        shown = [f"… {earlier:,} earlier line{'s' * (earlier > 1)}"] if earlier else []
        for line in lines[-_SHOWN_LINES:]:
            shown.append(line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…")
        return "\n".join(f"    {line}" for line in shown or ["(no output)"])

    def _remember(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > 2 * TAIL_LIMIT:  # cut seldom: each cut moves what stays
            surplus = len(self._tail) - TAIL_LIMIT
            self._forgotten_lines += self._tail.count(b"\n", 0, surplus)
            del self._tail[:surplus]
            self._forgotten += surplus

    def _extend(self, piece: bytes) -> None:
        if self._cut:
            return
        self._partial += piece
        if len(self._partial) > LINE_LIMIT + 1:  # one more than a full line: its end may be a carriage return
            self._cut_line()
            self._cut = True

    def _end_line(self) -> None:
        if not self._cut:
            if self._partial.endswith(b"\r"):
                del self._partial[-1]
            if len(self._partial) > LINE_LIMIT:
                self._cut_line()
            else:
                self._deliver()
        self._cut = False

    def _end_lines(self, whole: bytes) -> None:
        """The lines between two newlines of one read; of lines that will be dropped only the count matters."""
        if self._full:
            newlines = whole.count(b"\n")
            self._dropped_lines += newlines + 1
            self._dropped_bytes += len(whole) - newlines - whole.count(b"\r\n") - whole.endswith(b"\r")
            return
        for line in whole.split(b"\n"):
            self._extend(line)
            self._end_line()

    def _cut_line(self) -> None:
        del self._partial[_boundary(self._partial, LINE_LIMIT) :]
        self._deliver()
        self._notes.append(f"a line of output is longer than {LINE_LIMIT:,} bytes: cut there")

    def _deliver(self) -> None:
        size = len(self._partial)
        self._full = self._full or len(self._lines) >= INBOX_LINES or self._held + size > INBOX_BYTES
        if self._full:
            self._dropped_lines += 1
            self._dropped_bytes += size
        else:
            self._lines.append((self._partial.decode("utf-8", "replace"), size))
            self._held += size
        self._partial.clear()


def _boundary(data: bytearray, limit: int) -> int:
    """The last place up to `limit` that does not cut a UTF-8 character (at most three bytes earlier)."""
    for place in range(limit, limit - 4, -1):
        if data[place] & 0xC0 != 0x80:
            return place
    return limit
