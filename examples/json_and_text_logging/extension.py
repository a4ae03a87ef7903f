"""Reads log levels, whichever way the function logs.

With Lambda's JSON log format a line that holds an object is that object, before schema version 2022-12-13 a string that
holds one; every other line stays a line, as with the text format.
"""

import json
from contextlib import suppress
from typing import Any


def level_and_message(record: str | dict[str, Any]) -> tuple[str, str]:
    """The level and the message of a log record; a plain line counts as INFO."""
    if isinstance(record, str):
        with suppress(ValueError):
            record = json.loads(record)
    if not isinstance(record, dict):
        return "INFO", str(record)
    return record.get("level", "INFO"), record["message"]


class Levels:
    """`seen` has level and message of every log record."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def handle(self, batch: list[dict[str, Any]]) -> None:
        self.seen += [level_and_message(event["record"]) for event in batch if event["type"] == "function"]
