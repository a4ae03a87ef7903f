"""How Lambda's runtime API speaks HTTP: its limit, the JSON of its errors, and what it calls itself."""

import json

from ..protocol.contract import MAX_BODY_BYTES, too_large
from ..wire.exchange import HttpResponse, Limits, Wording
from ..wire.server import Server

LIMITS = Limits(body_bytes=MAX_BODY_BYTES)
WORDING = Wording(
    listener="the fake Lambda API",
    service="the Lambda runtime API",
    handler="lambda_telemetry's handler",
    unattached="no test is using lambda_telemetry now",
    too_large=too_large().message,
    threads="lambda-telemetry",
)
_ERROR_TYPES = {
    400: "BadRequest",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "RequestEntityTooLarge",
    414: "RequestTargetTooLong",
    431: "RequestHeaderFieldsTooLarge",
    500: "InternalServerError",
    503: "ServiceUnavailable",
    505: "HTTPVersionNotSupported",
}


def error_response(status: int, message: str) -> HttpResponse:
    """The JSON form of every error, `{"errorType": …, "errorMessage": …}`."""
    answer = {"errorType": _ERROR_TYPES[status], "errorMessage": message}
    return HttpResponse(status=status, body=json.dumps(answer).encode())


def runtime_server(port: int = 0) -> Server:
    """A server that speaks as Lambda's does. Raises MisuseError when the port cannot be used."""
    return Server(port, limits=LIMITS, wording=WORDING, error_response=error_response)
