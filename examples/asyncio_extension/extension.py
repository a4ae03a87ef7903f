"""An extension on asyncio: `asyncio.start_server` listens, httpx calls Lambda, all on one event loop."""

import asyncio
import json
import os
from typing import Any

import httpx

API = "2020-01-01/extension"


class Extension:
    """Collects log lines; `lines` is what came so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one batch: as much HTTP as a listener needs."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        batch: list[dict[str, Any]] = json.loads(await reader.readexactly(length))
        self.lines += [event["record"] for event in batch if event["type"] == "function"]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def run(self) -> None:
        """Listen, register, subscribe, then ask for the next event until Lambda says SHUTDOWN."""
        runtime_api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}"
        server = await asyncio.start_server(self.receive, "sandbox.localdomain", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, httpx.AsyncClient(base_url=runtime_api, timeout=None) as client:
            answer = await client.post(
                f"{API}/register", json={"events": ["INVOKE", "SHUTDOWN"]}, headers={"Lambda-Extension-Name": "asyncio"}
            )
            identified = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
            subscription = {
                "schemaVersion": "2022-12-13",
                "types": ["function"],
                "buffering": {"timeoutMs": 100},
                "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
            }
            (await client.put("2022-07-01/telemetry", json=subscription, headers=identified)).raise_for_status()
            while True:
                event = (await client.get(f"{API}/event/next", headers=identified)).json()
                if event["eventType"] == "SHUTDOWN":
                    break


if __name__ == "__main__":
    asyncio.run(Extension().run())
