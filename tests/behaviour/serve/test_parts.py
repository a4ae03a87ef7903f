"""Backends and processes over HTTP, and the document that describes everything."""

import json
import re
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from tests.support.helpers import call, register
from tests.support.programs import program
from tests.support.server import TIMEOUT, Client, segment, serving


def send(port: int, body: bytes = b"x", path: str = "/in", headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_backend(client: Client) -> None:
    made = client.do("backend", name="my intake")
    assert made == client.do("backend", name="my intake")
    assert made["url"] == f"http://127.0.0.1:{made['port']}"
    path = f"backend/{segment('my intake')}"
    assert client.read(path) == made
    assert client.read("backend") == [made]
    assert client.read(f"{path}/url") == made["url"]

    client.do(f"{path}/respond", status=202, json={"accepted": 1}, headers={"X-Mine": "yes"}, times=1)
    assert send(made["port"], b'{"a": [1, null]}') == (202, b'{"accepted":1}')
    client.do(f"{path}/respond", body={"base64": "//4="}, path="/bytes")
    assert send(made["port"], path="/bytes") == (200, b"\xff\xfe")
    client.do(f"{path}/fail_next", fault=503)
    assert send(made["port"], b"NaN")[0] == 503
    first, second, third = client.do(f"{path}/wait_for", count=3)
    assert (first["method"], first["path"], first["status"], first["json"]) == ("POST", "/in", 202, {"a": [1, None]})
    assert (first["body"], first["raw_base64"]) == ('{"a": [1, null]}', "eyJhIjogWzEsIG51bGxdfQ==")
    assert (second["status"], third["json"]) == (200, None)
    assert client.read(f"{path}/requests") == [first, second, third]

    assert client.read(f"{path}/drop_idle_on_freeze") is True
    client.do(f"{path}/drop_idle_on_freeze", value=False)
    assert client.read(f"{path}/drop_idle_on_freeze") is False
    assert client.post(f"{path}/drop_idle_on_freeze", value=1).status == 400
    assert client.post(f"{path}/drop_idle_on_freeze").refused(400, "misuse") == (
        'the body={} is not valid: it must be {"value": true} or {"value": false}'
    )
    for member in ("hold", "release", "reset"):
        assert client.do(f"{path}/{member}") is None
    assert client.read(f"{path}/requests") == []
    assert client.post(f"{path}/wait_for", timeout=0).refused(408, "timeout").startswith("waited 0 s for a request at")
    assert client.get("backend/{}").refused(404, "not-found").startswith("there is no backend '{}'")
    assert client.post("backend/x/hold").refused(404, "not-found") == (
        "there is no backend 'x'; there are 'my intake'; POST /v1/backend makes one"
    )
    assert client.post(f"{path}/holt").refused(404, "not-found").startswith("there is no call POST /v1/")


def test_the_ledger_and_its_verdicts(client: Client) -> None:
    port = client.do("backend")["port"]
    client.do("register")
    assert client.post("assert_exactly_once", timeout=0).status == 200  # nothing was emitted
    client.do("emit", events=[{"type": "function", "record": "a line"}])
    assert "nobody was subscribed to it" in client.post("assert_exactly_once", timeout=0).refused(409, "violation")
    send(port, b"a line")
    ledger = client.read("ledger?types=function,platform.report")
    assert ledger["trails"] == ledger["lost"] == ledger["doubled"] == []
    assert ledger["forgotten"] == 0
    assert ledger["text"].startswith("no.")
    assert client.get("ledger?types=nothing").refused(400, "misuse").startswith("there is no event type 'nothing'")


def test_an_extension_with_a_backend_and_its_process(client: Client, tmp_path: Path) -> None:
    port = client.do("backend")["port"]
    body = f"""
from http.client import HTTPConnection as Connection
def forward(batch):
    connection = Connection("127.0.0.1", {port})
    connection.request("POST", "/in", json.dumps(batch))
    connection.getresponse().read()
me = register("ext.py")
subscribe(me, serve(forward), ["function"])
say("it runs")
until_shutdown(me)
"""
    process = client.do("run_extension", argv=program(tmp_path, body), env={"MINE": "1"}, cwd=str(tmp_path))
    assert (process["name"], process["returncode"]) == ("ext.py", None)
    client.do("wait_until_ready", timeout=TIMEOUT)
    client.do("fail_next_delivery", fault="lost-answer")
    client.do("invoke", logs=["one", "two"])
    client.do("advance", seconds=30)
    client.do("invoke", logs=["three"])
    client.do("shutdown")
    assert client.do("extension_processes/ext.py/wait", timeout=TIMEOUT) == 0
    message = client.post("assert_exactly_once").refused(409, "violation")
    assert "2 are doubled" in message
    client.do("assert_at_least_once")
    ledger = client.read("ledger")
    assert [one["state"] for one in ledger["trails"]] == ["arrived"] * 3
    assert [one["event"]["record"] for one in ledger["doubled"]] == ["one", "two"]
    trail = ledger["trails"][0]
    assert trail["seen"][0]["path"] == "/in"
    assert "body" not in trail["seen"][0]
    assert "body" not in trail["deliveries"][0]
    assert client.read("extension_processes") == [client.read("extension_processes/ext.py")]
    assert "it runs" in client.read("extension_processes/ext.py")["output"]
    assert (
        client.get("extension_processes/x").refused(404, "not-found").startswith("there is no process 'x'; there are")
    )
    assert client.post("end").warnings == []


def test_a_wait_for_a_process_that_runs_on(client: Client, tmp_path: Path) -> None:
    client.do("run_extension", argv=program(tmp_path, "for_ever()"))
    message = client.post("extension_processes/ext.py/wait", timeout=0.01).refused(408, "timeout")
    assert re.match(r"extension ext.py \(pid \d+\) still runs after 0.01 s; its last output:", message)
    assert client.post("extension_processes/ext.py/wait", timeout="x").status == 400
    assert client.post("end").status == 409  # it never registered


def test_an_extension_of_the_tests_own_may_be_at_127_0_0_1() -> None:
    with serving("--sandbox-host", "127.0.0.1") as server, server.client() as client:
        destination = {"protocol": "HTTP", "URI": "http://127.0.0.1:9"}
        body = {"schemaVersion": "2022-12-13", "types": ["function"], "destination": destination}
        for _ in range(2):
            api = client.read("runtime_api")
            extension = {"Lambda-Extension-Identifier": register("mine", api=api)}
            assert call("PUT", "/2022-07-01/telemetry", body, extension, api=api).status == 200
            client.do("reset")


def test_the_document_is_valid_and_has_every_call(client: Client) -> None:
    document: dict[str, Any] = json.loads(client.get("openapi.json").raw)
    validate(document)
    assert document["openapi"] == "3.1.0"
    paths = document["paths"]
    assert paths["/v1/advance"].keys() == {"post"}
    assert paths["/v1/invocation"].keys() == {"get", "post"}
    assert paths["/v1/invocation/{id}"].keys() == {"get", "delete"}
    advance = paths["/v1/advance"]["post"]
    assert advance["summary"].startswith("Move time forward")
    options = advance["requestBody"]["content"]["application/json"]["schema"]
    assert options == {
        "type": "object",
        "properties": {"seconds": {"type": "number", "default": 0}, "ms": {"type": "number", "default": 0}},
        "additionalProperties": False,
    }
    value = advance["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["value"]
    assert value == {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}}
    delivery = document["components"]["schemas"]["Delivery"]["properties"]
    assert delivery["body_base64"] == {"type": "string", "contentEncoding": "base64"}
    assert paths["/v1/push"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"] == ["batch"]
    assert [one["name"] for one in paths["/v1/records"]["get"]["parameters"]] == ["type", "to"]
    reset = paths["/v1/reset"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"function_name", "retry", "clock"} <= reset.keys()


def test_what_is_returned_has_the_fields_of_the_document(client: Client) -> None:
    schemas = json.loads(client.get("openapi.json").raw)["components"]["schemas"]
    client.do("subscribe", uri="http://127.0.0.1:9")
    client.do("backend")
    for path, name in [
        ("subscriptions", "Subscription"),
        ("extensions", "Extension"),
        ("journal", "Entry"),
        ("backend", "Backend"),
    ]:
        assert client.read(path)[0].keys() == schemas[name]["properties"].keys(), name
    assert client.read("ledger").keys() - {"text"} == schemas["Ledger"]["properties"].keys()
