"""Mistakes in the calls of an extension to Lambda."""

import os
import socket
import threading
from http.client import HTTPConnection

from pytest_lambda_telemetry import Settings, WaitTimeout
from tests.field.cases import SHORT, Field, mistake, twin
from tests.support.helpers import EXTENSION, IDENTIFIER, TELEMETRY, call, register, subscribe, subscribe_body

NAME = "Lambda-Extension-Name"
LOGS = "/2020-08-15/logs"
MANAGED = Settings(initialization_type="lambda-managed-instances")
OF_ANOTHER = "01234567-89ab-cdef-0123-456789abcdef"


def subscribes_with(**changes: object) -> None:
    """An extension sends a body that is good but for these fields."""
    subscribe(register(), subscribe_body(4243, **changes))


def to(uri: str) -> dict[str, str]:
    return {"protocol": "HTTP", "URI": uri}


# -- paths and methods -------------------------------------------------------------------------------------------------


@mistake(
    "Subscribe with the schema version in its path",
    "PUT /2025-01-29/telemetry from extension 'ext' was answered 404 NotFound: there is nothing at"
    " /2025-01-29/telemetry.",
)
def _(_field: Field) -> None:
    call("PUT", "/2025-01-29/telemetry", subscribe_body(4243), {IDENTIFIER: register()})


@mistake(
    "Subscribe with POST",
    "POST /2022-07-01/telemetry from extension 'ext' was answered 405 MethodNotAllowed: this path answers PUT only.",
)
def _(_field: Field) -> None:
    call("POST", TELEMETRY, subscribe_body(4243), {IDENTIFIER: register()})


@mistake(
    "Subscribe at a path of the Extensions API",
    "PUT /2020-01-01/extension/telemetry from extension 'ext' was answered 404 NotFound: there is"
    " nothing at /2020-01-01/extension/telemetry.",
)
def _(_field: Field) -> None:
    call("PUT", f"{EXTENSION}/telemetry", subscribe_body(4243), {IDENTIFIER: register()})


@mistake(
    "the Logs API's Subscribe with the schema version in its path",
    "PUT /2021-03-18/logs from extension 'ext' was answered 404 NotFound: there is nothing at /2021-03-18/logs.",
)
def _(_field: Field) -> None:
    call("PUT", "/2021-03-18/logs", subscribe_body(4243), {IDENTIFIER: register()})


@mistake(
    "register with GET",
    "GET /2020-01-01/extension/register from extension 'ext' was answered 405 MethodNotAllowed: this"
    " path answers POST only.",
)
def _(_field: Field) -> None:
    call("GET", f"{EXTENSION}/register", headers={NAME: "ext"})


@mistake(
    "register with a slash at the end of its path",
    "POST /2020-01-01/extension/register/ from extension 'ext' was answered 404 NotFound: there is"
    " nothing at /2020-01-01/extension/register/.",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register/", {"events": []}, {NAME: "ext"})


@mistake(
    "next with POST",
    "POST /2020-01-01/extension/event/next from extension 'ext' was answered 405 MethodNotAllowed:"
    " this path answers GET only.",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/event/next", headers={IDENTIFIER: register()})


@mistake(
    "next at the path of the Runtime API",
    "GET /2018-06-01/runtime/invocation/next from extension 'ext' was answered 404 NotFound: there"
    " is nothing at /2018-06-01/runtime/invocation/next.",
)
def _(_field: Field) -> None:
    call("GET", "/2018-06-01/runtime/invocation/next", headers={IDENTIFIER: register()})


@mistake("what is no HTTP", "a request was answered 400: not an HTTP/1.1 request line: b'register ext\\r\\n'.")
def _(_field: Field) -> None:
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"register ext\r\n\r\n")
        connection.recv(1)


@mistake("a request without a Host line", "a request was answered 400: there is no Host line, which HTTP/1.1 demands.")
def _(_field: Field) -> None:
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.putrequest("GET", f"{EXTENSION}/event/next", skip_host=True)
    connection.endheaders()
    connection.getresponse()
    connection.close()


# -- who calls ---------------------------------------------------------------------------------------------------------


@mistake(
    "next without an identifier",
    "Next from an unidentified extension was refused: 403 Extension.MissingExtensionIdentifier:"
    " Missing Lambda-Extension-Identifier header",
)
def _(_field: Field) -> None:
    register()
    call("GET", f"{EXTENSION}/event/next")


@mistake(
    "next before register",
    "Next from an unidentified extension was refused: 403 Extension.UnknownExtensionIdentifier: Unknown extension ID",
)
def _(_field: Field) -> None:
    call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: OF_ANOTHER})


@mistake(
    "Subscribe without an identifier",
    "Subscribe from an unidentified extension was refused: 403 Extension.MissingExtensionIdentifier:"
    " Missing Lambda-Extension-Identifier header",
)
def _(_field: Field) -> None:
    register()
    call("PUT", TELEMETRY, subscribe_body(4243))


@mistake(
    "Subscribe with the identifier of another environment",
    "Subscribe from an unidentified extension was refused: 403 Extension.UnknownExtensionIdentifier:"
    " Unknown extension ID",
)
def _(_field: Field) -> None:
    subscribe(OF_ANOTHER, subscribe_body(4243))


@mistake(
    "Subscribe with the extension's name for its identifier",
    "Subscribe from an unidentified extension was refused: 403 Extension.InvalidExtensionIdentifier:"
    " Invalid Lambda-Extension-Identifier",
)
def _(_field: Field) -> None:
    register("ext")
    subscribe("ext", subscribe_body(4243))


# -- register ----------------------------------------------------------------------------------------------------------


@mistake(
    "register without a name",
    "Register from an unidentified extension was refused: 403 Extension.InvalidExtensionName: Empty extension name",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register", {"events": ["INVOKE"]})


@mistake(
    "register twice",
    "Register from extension 'ext' was refused: 403 Extension.InvalidExtensionState: Extension ext"
    " is registered already",
)
def _(_field: Field) -> None:
    register("ext")
    call("POST", f"{EXTENSION}/register", {"events": ["INVOKE"]}, {NAME: "ext"})


@mistake(
    "register for an event that is misspelt",
    "Register from extension 'ext' was refused: 403 Extension.InvalidEventType: invalid event type \"Invoke\"",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register", {"events": ["Invoke", "Shutdown"]}, {NAME: "ext"})


@mistake(
    "register for INVOKE on Managed Instances",
    "Register from extension 'ext' was refused: 403 Extension.InvalidEventType: invalid event type"
    ' "INVOKE": Lambda Managed Instances send no INVOKE',
    settings=MANAGED,
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register", {"events": ["INVOKE", "SHUTDOWN"]}, {NAME: "ext"})


@mistake(
    "register with a body that is no JSON",
    "Register from extension 'ext' was refused: 403 InvalidRequestFormat: the body is not JSON:"
    " Expecting value, line 1 column 1",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register", raw=b"events=INVOKE", headers={NAME: "ext"})


@mistake(
    "register after init",
    "Register from extension 'ext' was refused: 403 Extension.RegistrationClosed: Extension"
    " registration closed already",
)
def _(field: Field) -> None:
    field.lambda_telemetry.end_init()
    call("POST", f"{EXTENSION}/register", {"events": ["INVOKE"]}, {NAME: "ext"})


@mistake(
    "an eleventh extension",
    "Register from extension 'ext-10' was refused: 403 Extension.TooManyExtensions: Extension limit (10) reached",
)
def _(_field: Field) -> None:
    for number in range(10):
        register(f"ext-{number}")
    call("POST", f"{EXTENSION}/register", {"events": ["INVOKE"]}, {NAME: "ext-10"})


# -- Subscribe ---------------------------------------------------------------------------------------------------------


@mistake(
    "an unknown field at the top level",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: unknown field `extensionName`,"
    " expected one of `schemaVersion`, `types`, `buffering`, `destination`",
)
def _(_field: Field) -> None:
    subscribes_with(extensionName="ext")


@mistake(
    "no schemaVersion", "Subscribe from extension 'ext' was refused: 400 ValidationError: schemaVersion is not provided"
)
def _(_field: Field) -> None:
    subscribe(register(), {"types": ["function"], "destination": to("http://sandbox.localdomain:4243")})


@mistake(
    "a schemaVersion that is none",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: schemaVersion should be one of"
    " `2025-01-29`, `2022-12-13`, `2022-07-01`",
)
def _(_field: Field) -> None:
    subscribes_with(schemaVersion="2022-07-02")


@mistake(
    "an older schemaVersion on Managed Instances",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: schemaVersion should be `2025-01-29`",
    settings=MANAGED,
)
def _(_field: Field) -> None:
    subscribe(register(events=["SHUTDOWN"]), subscribe_body(4243, schemaVersion="2022-12-13"))


@mistake(
    "types that name an event",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: types should contain only"
    " `platform`, `function`, `extension`",
)
def _(_field: Field) -> None:
    subscribes_with(types=["platform.runtimeDone"])


@mistake(
    "types that are empty", "Subscribe from extension 'ext' was refused: 400 ValidationError: types should not be empty"
)
def _(_field: Field) -> None:
    subscribes_with(types=[])


@mistake(
    "the same type twice", "Subscribe from extension 'ext' was refused: 400 ValidationError: types should be unique"
)
def _(_field: Field) -> None:
    subscribes_with(types=["function", "function"])


@mistake(
    "the port that is reserved",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: URI port 9001 is reserved",
)
def _(_field: Field) -> None:
    subscribes_with(destination=to("http://sandbox.localdomain:9001"))


@mistake(
    "a destination without a port",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: URI port is not provided",
)
def _(_field: Field) -> None:
    subscribes_with(destination=to("http://sandbox.localdomain/telemetry"))


@mistake(
    "a destination with https",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: URI scheme should be http",
)
def _(_field: Field) -> None:
    subscribes_with(destination=to("https://sandbox.localdomain:4243"))


@mistake(
    "a destination at localhost",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: URI host should be sandbox.localdomain",
)
def _(_field: Field) -> None:
    subscribes_with(destination=to("http://localhost:4243"))


@mistake(
    "a protocol in lower case",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: protocol should be one of `HTTP`, `TCP`",
)
def _(_field: Field) -> None:
    subscribes_with(destination={"protocol": "http", "URI": "http://sandbox.localdomain:4243"})


@mistake("TCP without a port", "Subscribe from extension 'ext' was refused: 400 ValidationError: URI is not provided")
def _(_field: Field) -> None:
    subscribes_with(destination={"protocol": "TCP"})


@mistake(
    "maxItems below 1,000",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: maxItems should be between 1000 and 10000",
)
def _(_field: Field) -> None:
    subscribes_with(buffering={"maxItems": 500})


@mistake(
    "timeoutMs as a string",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: timeoutMs should be an integer",
)
def _(_field: Field) -> None:
    subscribes_with(buffering={"timeoutMs": "1000"})


@mistake(
    "timeoutMs of 0, for no buffering",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: timeoutMs should be between 25 and 30000",
)
def _(_field: Field) -> None:
    subscribes_with(buffering={"timeoutMs": 0})


@mistake(
    "maxBytes as it is printed in AWS's example, 256*1024",
    "Subscribe from extension 'ext' was refused: 400 ValidationError: the body is not JSON:"
    " Expecting ',' delimiter, line 1 column 31",
)
def _(_field: Field) -> None:
    call("PUT", TELEMETRY, raw=b'{"buffering": {"maxBytes": 256*1024}}', headers={IDENTIFIER: register()})


@mistake(
    "Subscribe after init",
    "Subscribe from extension 'ext' was refused: 403 Telemetry.SubscriptionClosed: Telemetry API"
    " subscription is closed already",
)
def _(field: Field) -> None:
    extension = register(events=[])
    asking = threading.Thread(target=call, args=("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: extension}))
    asking.start()
    field.stack.callback(asking.join)
    field.lambda_telemetry.wait_until_ready(timeout=60)
    field.lambda_telemetry.end_init()
    subscribe(extension, subscribe_body(4243))


@mistake(
    "the Logs API after the Telemetry API",
    "Subscribe from extension 'ext' was refused: 400 Logs.ValidationError: The extension ext is"
    " already subscribed to the TelemetryAPI. You must either subscribe to the LogsAPI or the"
    " TelemetryAPI",
)
def _(field: Field) -> None:
    extension = register()
    subscribe(extension, subscribe_body(field.listener()))
    call("PUT", LOGS, subscribe_body(4243, schemaVersion="2021-03-18"), {IDENTIFIER: extension})


@mistake(
    "the Logs API on Managed Instances",
    "Subscribe from extension 'ext' was refused: 403 Logs.NotSupported: Logs API is not supported",
    settings=MANAGED,
)
def _(_field: Field) -> None:
    extension = register(events=["SHUTDOWN"])
    call("PUT", LOGS, subscribe_body(4243, schemaVersion="2021-03-18"), {IDENTIFIER: extension})


# -- errors and the life after -----------------------------------------------------------------------------------------


@mistake(
    "init/error without the header that says which",
    "init/error from extension 'ext' was refused: 403 Extension.MissingHeader:"
    " Lambda-Extension-Function-Error-Type not found",
)
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/init/error", headers={IDENTIFIER: register()})


@mistake(
    "next after exit/error",
    "Next from extension 'ext' was refused: 403 Extension.InvalidExtensionState: Extension ext is"
    " ExitError: next is not allowed",
)
def _(_field: Field) -> None:
    headers = {IDENTIFIER: register(), "Lambda-Extension-Function-Error-Type": "Extension.ConfigInvalid"}
    call("POST", f"{EXTENSION}/exit/error", headers=headers)
    call("GET", f"{EXTENSION}/event/next", headers=headers)


@mistake(
    "next in two threads at once",
    "Next from extension 'ext' was refused: 403 Extension.InvalidExtensionState: Extension ext is"
    " Ready: next is not allowed",
)
def _(field: Field) -> None:
    headers = {IDENTIFIER: register()}
    asking = threading.Thread(target=call, args=("GET", f"{EXTENSION}/event/next", None, headers))
    asking.start()
    field.lambda_telemetry.wait_until_ready(timeout=60)
    call("GET", f"{EXTENSION}/event/next", headers=headers)
    field.lambda_telemetry.shutdown()
    asking.join()


@mistake(
    "an extension that never asks for next, and a test that invokes",
    "extension-timeout: extension 'ext' did not ask for its next event within 0.2 s (real) of init.",
)
def _(field: Field) -> None:
    register()
    field.lambda_telemetry.invoke()


@mistake(
    "an extension that never asks for next, and a test that waits for it",
    "waited 0.2 s for an extension to register and ask for its next event; seen instead:",
    told=WaitTimeout,
)
def _(field: Field) -> None:
    register()
    field.lambda_telemetry.wait_until_ready(timeout=0.2)


@mistake(
    "an extension that asks for next once",
    "extension-timeout: extension 'ext' did not ask for its next event within 0.2 s (real) of invocation ID.",
    settings=SHORT.with_options({"timeout_s": 0.3}),
)
def _(field: Field) -> None:
    extension = register()
    asking = threading.Thread(target=call, args=("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: extension}))
    asking.start()
    field.lambda_telemetry.wait_until_ready(timeout=60)
    field.lambda_telemetry.invoke()
    asking.join()


@mistake(
    "a thread of the extension dies",
    "thread 'telemetry' of this process died: KeyError: 'record' (calls.py: in read_record).",
)
def _(_field: Field) -> None:
    def read_record() -> None:
        {"type": "platform.start"}["record"]

    thread = threading.Thread(target=read_record, name="telemetry")
    thread.start()
    thread.join()


# -- sound twins -------------------------------------------------------------------------------------------------------


@twin("register without events")
def _(_field: Field) -> None:
    call("POST", f"{EXTENSION}/register", {}, {NAME: "ext"})


@twin("Subscribe with a slash at the end of its path")
def _(_field: Field) -> None:
    call("PUT", f"{TELEMETRY}/", subscribe_body(4243), {IDENTIFIER: register()})


@twin("the same Subscribe twice")
def _(_field: Field) -> None:
    extension = register()
    for _time in range(2):
        subscribe(extension, subscribe_body(4243))


@twin("the fields of AWS's Go sample in a destination: method and encoding")
def _(_field: Field) -> None:
    subscribes_with(destination={**to("http://sandbox.localdomain:4243"), "method": "POST", "encoding": "JSON"})


@twin("an identifier in another form of a UUID")
def _(_field: Field) -> None:
    subscribe(register().replace("-", "").upper(), subscribe_body(4243))


@twin("a client that goes away in the middle of a request")
def _(_field: Field) -> None:
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: sandbox\r\nContent-Le")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


@twin("a refused call that the test asked for")
def _(field: Field) -> None:
    field.lambda_telemetry.reject_next("next", status=403)
    call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: register()})


@twin("a refused call that the test expects")
def _(field: Field) -> None:
    with field.lambda_telemetry.expect_rejection(match="maxItems"):
        subscribes_with(buffering={"maxItems": 500})


@twin("an init that an extension ends with an error of its own")
def _(field: Field) -> None:
    headers = {IDENTIFIER: register(), "Lambda-Extension-Function-Error-Type": "Extension.ConfigInvalid"}
    call("POST", f"{EXTENSION}/init/error", headers=headers)
    field.lambda_telemetry.invoke()


@twin("a mistake that the settings allow", SHORT.with_options({"strict": False}))
def _(_field: Field) -> None:
    subscribes_with(types=["platform.runtimeDone"])
