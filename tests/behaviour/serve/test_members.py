"""The members over HTTP: what they take, what they return, what they refuse."""

import base64
import inspect
import json
from typing import Any

import pytest

from pytest_lambda_telemetry import Backend, ExtensionProcess, Invocation, LambdaTelemetry
from pytest_lambda_telemetry.serve.members import BACKEND, ENVIRONMENT, INVOCATION, PROCESS, Members
from tests.support.helpers import Listener, call, register
from tests.support.server import Client, segment

LINE = {"type": "function", "record": "a line"}


@pytest.mark.parametrize(
    ("owner", "members"),
    [(LambdaTelemetry, ENVIRONMENT), (Backend, BACKEND), (Invocation, INVOCATION), (ExtensionProcess, PROCESS)],
)
def test_every_public_member_has_its_kind_or_a_reason(owner: type, members: Members) -> None:
    public = {name for name, _ in inspect.getmembers_static(owner) if not name.startswith("_")}
    assert members.kinds.keys() | members.left_out.keys() == public
    assert not members.kinds.keys() & members.left_out.keys()


def test_half_a_minute_of_buffering(client: Client) -> None:
    with Listener() as listener:
        client.do("subscribe", uri=listener.uri, buffering={"timeoutMs": 30_000})
        assert client.do("emit", events=[LINE]) == []
        assert client.do("advance", seconds=29.999) == []
        (delivery,) = client.do("advance", ms=1)
    assert delivery["ok"]
    assert delivery["status"] == 200
    assert delivery["types"] == ["function"]
    assert delivery["events"][0]["record"] == "a line"
    assert json.loads(delivery["body"]) == delivery["events"]
    assert base64.b64decode(delivery["body_base64"]).decode() == delivery["body"]
    assert delivery["subscription"]["extension_name"] == "test-extension"
    assert delivery["subscription"]["buffering"] == {"max_items": 1000, "max_bytes": 262144, "timeout_ms": 30000}
    assert "body" not in delivery["subscription"]
    assert client.read("deliveries") == [delivery]
    assert client.read("records") == ["a line"]
    assert client.read("records?type=function&to=test-extension") == ["a line"]
    assert client.read("elapsed") == 30.0
    assert client.read("now").endswith("Z")


def test_what_a_member_refuses_it_refuses_in_the_same_words(client: Client) -> None:
    with LambdaTelemetry() as lambda_telemetry:
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("advance", {"ms": -1}),
            ("push", {"batch": "x"}),
            ("subscribe", {}),
            ("subscribe", {"uri": "http://sandbox:1", "types": "platform"}),
            ("fail_next_delivery", {"fault": "maybe"}),
            ("invoke", {"status": "maybe"}),
            ("wait_for_extension", {"timeout": "soon"}),
            ("run_extension", {"argv": []}),
            ("shutdown", {"reason": "why not"}),
        ]
        for member, given in wrong:
            with pytest.raises(Exception) as error:
                getattr(lambda_telemetry, member)(**given)
            assert client.post(member, **given).refused(400, "misuse") == str(error.value)


def test_options_that_do_not_exist_or_are_missing_are_named(client: Client) -> None:
    assert client.post("advance", secnds=1).refused(400, "misuse") == (
        "POST /v1/advance has no option 'secnds'; it has seconds, ms; did you mean 'seconds'?"
    )
    assert client.post("push").refused(400, "misuse") == (
        "POST /v1/push lacks 'batch', which must be given; it has batch, to"
    )
    assert client.post("freeze", hard=True).refused(400, "misuse") == (
        "POST /v1/freeze takes no options; it was sent 'hard': leave that out"
    )
    assert client.get("now?utc=1").refused(400, "misuse") == (
        "GET /v1/now takes no options; it was sent 'utc': leave that out"
    )
    assert client.post("advance", delta=5).refused(400, "misuse") == (
        "POST /v1/advance: delta= cannot be sent: JSON has no durations; say seconds= or ms="
    )
    assert client.post("assert_exactly_once", key="x").refused(400, "misuse") == (
        "POST /v1/assert_exactly_once: key= cannot be sent: it is code, which JSON cannot carry; leave it out"
    )


def test_an_event_must_be_one(client: Client) -> None:
    assert "is no event" in client.post("emit", events=["a line"]).refused(400, "misuse")
    assert client.post("emit", events=LINE).refused(400, "misuse") == (
        "events={'type': 'function', 'record': 'a line'} is not valid: it must be a list, such as [{…}]"
    )
    assert "type" in client.post("emit", events=[{"record": "x"}]).refused(400, "misuse")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON: Expecting property name enclosed in double quotes, line 1 column 2"),
        (b"[]", 'the body must be a JSON object of named options, such as {"ms": 100}'),
        (b'{"ms": NaN}', "the body has NaN, which is not JSON"),
        (b'{"ms": 1, "ms": 2}', 'the body has the key "ms" twice in one object'),
        (b"\xff", "the body is not UTF-8: byte 0 is not valid there"),
        (b"[" * 100_000, "the body is nested deeper than 128 levels"),
    ],
)
def test_a_body_that_is_no_object_is_refused(client: Client, body: bytes, message: str) -> None:
    assert client.request("POST", "/v1/advance", body).refused(400, "misuse") == message


def test_a_call_that_does_not_exist_is_shown_the_nearest(client: Client) -> None:
    assert client.post("advnce").refused(404, "not-found") == (
        "there is no call POST /v1/advnce; did you mean POST /v1/advance?"
    )
    assert (
        client.get("wait_until")
        .refused(404, "not-found")
        .startswith("there is no call GET /v1/wait_until: its predicate is code")
    )
    assert client.get("…".encode().hex()).refused(404, "not-found").endswith("see GET /v1/openapi.json")


def test_another_method_is_told_the_right_one(client: Client) -> None:
    answer = client.get("advance")
    assert answer.refused(405, "method-not-allowed") == "GET /v1/advance is no call; there is POST /v1/advance"
    assert answer.headers["allow"] == "POST"
    assert client.request("OPTIONS", "/v1/advance").headers["allow"] == "POST"
    assert client.request("PUT", "/v1/invocation").headers["allow"] == "POST, GET"


def test_a_wait_that_ran_out_is_a_408(client: Client) -> None:
    message = client.post("wait_for_extension", name="mine", timeout=0.01).refused(408, "timeout")
    assert message.startswith("waited 0.01 s for extension 'mine' to register; seen instead:")


def test_a_failed_assertion_is_a_409(client: Client) -> None:
    assert "nothing" in client.post("assert_delivered", types=["function"]).refused(409, "violation")
    client.do("assert_nothing_delivered")


def test_what_an_extension_did_wrong_is_a_409_once(client: Client) -> None:
    call("PUT", "/2022-07-01/telemetry", {}, api=client.read("runtime_api"))
    assert "Lambda-Extension-Identifier" in client.post("check").refused(409, "violation")
    assert client.do("check") is None


def test_what_is_recorded_is_in_snake_case(client: Client) -> None:
    register("mine", api=client.read("runtime_api"))
    (request,) = client.read("requests")
    assert request["method"], request["path"] == ("POST", "/2020-01-01/extension/register")
    assert request["body"] == {"events": ["INVOKE", "SHUTDOWN"]}
    assert json.loads(request["raw"]) == request["body"]
    assert base64.b64decode(request["raw_base64"]).decode() == request["raw"]
    assert request["response"]["functionName"] == "test-function"
    assert request["headers"]["Lambda-Extension-Name"] == "mine"
    (extension,) = client.read("extensions")
    assert (extension["name"], extension["events"]) == ("mine", ["INVOKE", "SHUTDOWN"])
    last = client.read("journal")[-1]
    assert {"number", "at", "elapsed", "kind", "who", "what", "verdict", "fact"} == last.keys()
    assert client.read("env")["AWS_LAMBDA_RUNTIME_API"] == client.read("runtime_api")


def test_bytes_that_are_no_text_are_there_in_base64(client: Client) -> None:
    call("PUT", "/2022-07-01/telemetry", raw=b"\xff\xfe", api=client.read("runtime_api"))
    request = client.read("requests")[0]
    assert (request["raw"], request["raw_base64"], request["body"]) == ("\ufffd\ufffd", "//4=", None)
    client.post("check")


def test_an_invocation_begins_logs_and_ends(client: Client) -> None:
    with Listener() as listener:
        client.do("subscribe", uri=listener.uri)
        begun = client.do("invocation", request_id="a/b c", duration_ms=50)
        assert (begun["id"], begun["status"], begun["over"]) == ("a/b c", "success", False)
        path = f"invocation/{segment('a/b c')}"
        client.do(f"{path}/log", records=["one", {"two": 2}, None])
        assert client.read(path)["open"]
        assert [one["id"] for one in client.read("invocation")] == ["a/b c"]
        ended = client.delete(path)
        assert (ended.value["outcome"], ended.value["open"], ended.warnings) == ("completed", False, [])
        assert client.delete(path).refused(400, "misuse").endswith("has ended already; GET shows what came of it")
        assert client.post(f"{path}/log", records=["three"]).refused(400, "misuse").endswith("can't log any more")
        assert client.delete("invocation/x").refused(404, "not-found") == (
            "there is no invocation 'x' in this environment; there are 'a/b c'"
        )
        assert client.read("records") == ["one", {"two": 2}, None]
        assert client.do("invoke", logs=["four"])["deliveries"]


def test_an_expected_rejection_is_begun_and_ended(client: Client) -> None:
    identifier = client.do("expect_rejection", match="Validation", timeout=30)["id"]
    api = client.read("runtime_api")
    extension = {"Lambda-Extension-Identifier": register("mine", api=api)}
    call("PUT", "/2022-07-01/telemetry", {"types": []}, extension, api=api)
    ended = client.delete(f"expect_rejection/{identifier}").value
    (rejection,) = ended["rejections"]
    assert (rejection["status"], rejection["body"], ended["open"]) == (400, {"types": []}, False)
    client.do("check")

    identifier = client.do("expect_rejection", timeout=0)["id"]
    message = client.delete(f"expect_rejection/{identifier}").refused(409, "violation")
    assert message.startswith("expected a refused Subscribe within 0 s, but there was none")


def test_a_script_is_a_list_of_its_parts(client: Client) -> None:
    with Listener() as listener:
        client.do("subscribe", uri=listener.uri, buffering={"timeoutMs": 25})
        client.do(
            "play",
            script=[
                {"cold_start": {"logs": ["from the cold"]}},
                [0, LINE],
                [10.5, {"flush": {}}],
                {"timeout": {"timeout_s": 0.5}},
            ],
        )
        assert client.read("records") == ["from the cold", "a line"]
    for script, message in [
        ("cold_start", "script='cold_start' is not valid: it must be a list, such as [{\"cold_start\": {}}]"),
        ([{"cold_strt": {}}], "there is no script 'cold_strt'; there are "),
        ([{"timeout": {"timeout": 1}}], "script 'timeout' has no option 'timeout'; it has "),
        ([{"timeout": None}], "script 'timeout' has None; its options must be an object, which may be empty"),
        ([[1, {"stop": {}}]], "a step of the script has {'stop': {}}; it must be an event with type and record, or "),
        ([[1, "x"]], "step 0 of the script has 'x', which is not an Event"),
        ([[2, LINE], [1, LINE]], "step 1 of the script is at 1 ms, before step 0 at 2 ms"),
        ([3], "script has the part 3; it must be a step [OFFSET_MS, ACTION], or a ready-made script"),
        ([{"from_ndjson": "/none/here"}], "cannot read the recording '/none/here'"),
    ]:
        assert client.post("play", script=script).refused(400, "misuse").startswith(message)


def test_warnings_come_with_the_answer_to_the_call_that_caused_them(client: Client) -> None:
    client.do("end_init")
    (warning,) = client.post("emit", events=[LINE]).warnings
    assert warning.startswith("emit() of 1 event reaches nobody: nothing is subscribed, and init is over")
    assert "warnings" not in client.get("now").body
    client.do("fail_next_delivery", fault=503)
    (warning,) = client.post("end").warnings
    assert warning.startswith("fail_next_delivery(503) was never used")


def test_faults_of_two_parts_are_lists(client: Client) -> None:
    with Listener() as listener:
        client.do("subscribe", uri=listener.uri)
        client.do("emit", events=[LINE])
        client.do("fail_next_delivery", fault=["lost-answer", 503])
        assert [one["attempts"][0]["status"] for one in client.do("flush")] == [503]
        assert [one["attempt_count"] for one in client.do("advance", seconds=1)] == [2]


def test_what_is_no_json_any_more_is_null_and_named(client: Client) -> None:
    with Listener() as listener:
        client.do("reset", fidelity="observed")
        client.do("subscribe", uri=listener.uri, buffering={"maxBytes": 262_144})
        client.do("emit", events=[{"type": "function", "record": "x" * 300_000}])
        client.do("advance", seconds=1)
        cut, rest = client.read("deliveries")
    for delivery in (cut, rest):
        assert (delivery["events"], delivery["missing"]) == (None, ["events"])
    assert (cut["body"] + rest["body"]).count("x") == 300_000
    message = client.get("records").refused(410, "gone")
    assert "a record longer than the subscription's maxBytes was cut in it" in message


def test_options_are_in_the_body(client: Client) -> None:
    assert client.post("advance?ms=1").refused(400, "misuse") == (
        "POST takes its options in the body, as JSON; it was sent the query 'ms=1'"
    )
    message = client.post("assert_exactly_once", seen=[{"base64": "?"}]).refused(400, "misuse")
    assert message.startswith("base64='?' is not valid: it must be a str in base64")


def test_lines_of_text(client: Client) -> None:
    assert client.do("log_lines", n=2) == ["line 00000001", "line 00000002"]
    assert client.do("log_lines", n=1, text="row") == ["row 00000003"]


def test_recordings_are_written_where_the_server_is(client: Client, tmp_path: Any) -> None:
    client.do("save_ndjson", path=str(tmp_path / "made.ndjson"))
    assert (tmp_path / "made.ndjson").read_text() == ""
    assert "No such file" in client.post("save_ndjson", path=str(tmp_path / "no" / "folder")).refused(400, "misuse")
