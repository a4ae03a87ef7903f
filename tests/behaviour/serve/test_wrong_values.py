"""Wrong kinds of values for every option of every call: an answer that helps, never a 500, and the next reset cures."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.server import Answer, Client, Running
from tests.support.wrong import WRONG

FINE = {200, 400, 404, 408, 409}
VALID: dict[str, dict[str, Any]] = {
    "subscribe": {"uri": "http://sandbox:1"},
    "push": {"batch": []},
    "reject_next": {"route": "next"},
    "fail_next_delivery": {"fault": "refuse"},
    "run_extension": {"argv": ["/none/here"]},
    "log_lines": {"n": 1},
}
"""What a call takes besides the option that is wrong."""


def sendable(value: object) -> bytes | None:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RuntimeError):
        return None


VALUES = [made for value in WRONG.values() if (made := sendable(value)) is not None]
NUMBERS = {b"1", b"1.5", b"-1", b"1.7e+308", b"NaN", b"Infinity", b"-Infinity", sendable(10**400)}


def calls(client: Client) -> list[tuple[str, str, list[str]]]:
    """Method, path and options of every call, as the document has them."""
    document = json.loads(client.get("openapi.json").raw)
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            query = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            found.append((method.upper(), path, [*body.get("properties", {}), *query]))
    return found


def send(client: Client, method: str, path: str, fields: dict[str, bytes]) -> Answer:
    path = path.replace("{name}", "name").replace("{id}", "id" if "invocation" in path else "1")
    if method == "POST":
        body = b", ".join(b'"%s": %s' % (name.encode(), value) for name, value in fields.items())
        return client.request("POST", path, b"{%s}" % body)
    query = urlencode({name: value.decode() for name, value in fields.items()}) if method == "GET" else ""
    return client.request(method, f"{path}?{query}" if query else path)


@pytest.mark.parametrize("part", range(4))
def test_no_wrong_value_breaks_a_call(server: Running, client: Client, part: int) -> None:
    for method, path, options in calls(client)[part::4]:
        client.do("reset", delivery_timeout_s=0.2, extension_timeout_s=0.2)
        client.do("backend", name="name")
        client.do("expect_rejection", timeout=0)
        client.do("invocation", request_id="id")
        given = {"timeout": 0} if "timeout" in options else {}
        given |= VALID.get(path.rpartition("/")[2], {})
        valid = {name: json.dumps(one).encode() for name, one in given.items()}
        for option in options or [""]:
            for value in VALUES:
                if option == "timeout" and value in NUMBERS:
                    continue  # it would be waited for
                answer = send(client, method, path, valid | ({option: value} if option else {}))
                assert answer.status in FINE, (method, path, option, value, answer.raw)
    assert client.do("reset")["runtime_api"] == server.told["runtime_api"]
    client.do("advance", ms=1)
