"""Whether the code that runs here must not block, because it runs in an event loop."""

import sys


def in_event_loop() -> bool:
    """This thread runs an asyncio or trio event loop."""
    asyncio, trio = sys.modules.get("asyncio.events"), sys.modules.get("trio.lowlevel")
    return bool((asyncio and asyncio._get_running_loop()) or (trio and trio.in_trio_run()))
