"""The same forwarder as most people write it first. It works on a quiet day; docs/scenarios.md has the other ones."""

import json
import sys
from pathlib import Path
from urllib.request import urlopen

from examples.scenarios.robust import Forwarder


class NaiveForwarder(Forwarder):
    """Every record is a text, every batch is new, every request is answered, and there is always an INVOKE."""

    registers_for = ("INVOKE", "SHUTDOWN")

    def take(self, body: bytes) -> None:
        """Send on each line as it comes; what cannot be sent on is told, and answered 200 all the same."""
        try:
            for event in json.loads(body):
                if event["type"] == "function":
                    urlopen(f"{self.backend_url}/v1/logs", event["record"].encode(), timeout=0.2).close()
        except Exception as error:  # a log forwarder must not crash
            print(f"could not send on: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    NaiveForwarder(sys.argv[1], Path(__file__).name).run()
