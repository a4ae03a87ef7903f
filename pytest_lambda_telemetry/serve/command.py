"""The command: `lambda-telemetry serve`, or `python -m pytest_lambda_telemetry serve`."""

import argparse
import contextlib
import json
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, get_type_hints

from ..api.dialect import runtime_server
from ..host.child_names import HOSTS_LINE
from ..model.errors import MisuseError
from ..settings import DEFAULTS, Settings, SettingsOptions
from . import given
from .control import Control, control_server
from .lifetime import Keeper, ready_file
from .round import Over
from .session import Session

_NAME = "lambda-telemetry"
_BAD_USAGE, _CANNOT_START = 2, 1
_WHOLE_SESSION = r"""
a whole session, with curl and jq:

  lambda-telemetry serve --ready-file ready.json --parent $$ &
  until [ -e ready.json ]; do sleep 0.1; done
  control=http://$(jq -r .control ready.json)
  call() { curl -sS --fail-with-body -H 'Content-Type: application/json' "$control/v1/$1" -d "${2:-{\}}"; }

  intake=$(call backend | jq -r .value.url)      # a fake backend for what the extension sends on
  call run_extension '{"argv": ["./bin/my-extension"], "env": {"INTAKE_URL": "'$intake'"}}'
  call wait_until_ready '{"timeout": 30}'        # it has registered, and asks for its next event
  call fail_next_delivery '{"fault": 503}'       # the next batch is not acknowledged
  call emit '{"events": [{"type": "function", "record": "hello"}]}'
  call advance '{"seconds": 31}'                 # half a minute and a retry, in a few milliseconds
  call invoke '{"logs": ["from the function"]}'
  call shutdown
  call assert_exactly_once                       # else 409, and the message says where each record was lost
  call end                                       # 409 for whatever the extension did wrong
  curl -sS $control/v1/timeline                  # what happened; also in a browser
  call reset '{"memory_mb": 512}'                # a fresh environment for the next test

exit codes: 0 ended by SIGTERM, SIGINT, SIGHUP or the end of --parent; 1 it could not start (a taken port, a ready file
that cannot be written); 2 a wrong option or setting
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        settings = _settings(options.setting, options.sandbox_host)
        token = _token(options.token)
        keeper = Keeper(options.parent)
    except MisuseError as error:
        _fail(_BAD_USAGE, error)
    try:
        _serve(options, settings, token, keeper)
    except (MisuseError, OSError) as error:
        _fail(_CANNOT_START, error)
    sys.exit(0)


def _fail(code: int, error: Exception) -> NoReturn:
    print(f"{_NAME}: {error}", file=sys.stderr)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME, description="A fake AWS Lambda Telemetry API, with time under the test's control."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    serve = commands.add_parser(
        "serve",
        help="the same environment as pytest's fixture, controlled over HTTP by tests in any language",
        description="Serve one fake execution environment at a time: extensions at one port, the test at another.",
        epilog=_WHOLE_SESSION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--port", type=_port, default=0, help="the extensions' side; 0, the default, takes a free one")
    serve.add_argument(
        "--control-port", type=_port, default=0, help="the test's side; 0, the default, takes a free one"
    )
    serve.add_argument(
        "--ready-file",
        metavar="FILE",
        help="written when both listen, readable by its owner only, removed at the end: JSON with runtime_api, control,"
        " env, hosts, pid and, with --token, token; the same, without the token, is one line on stdout",
    )
    serve.add_argument(
        "--setting",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting that every environment begins with, such as function_name=my-function or strict=false; may be"
        " given several times",
    )
    serve.add_argument("--parent", metavar="PID", type=int, help="end when this process ends")
    serve.add_argument(
        "--token",
        metavar="TOKEN",
        help="every control call must bear it in `Authorization: Bearer TOKEN`; `auto` makes one. Use it where other"
        " people have accounts on this machine: whoever may call may run programs as you",
    )
    serve.add_argument(
        "--sandbox-host",
        metavar="HOST",
        choices=("127.0.0.1",),
        help="127.0.0.1: extensions that the test starts itself may subscribe with it, where sandbox.localdomain does"
        " not resolve",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _settings(pairs: Sequence[str], sandbox_host: str | None) -> Settings:
    """The settings of the command line. Raises MisuseError."""
    options: dict[str, Any] = {} if sandbox_host is None else {"allow_loopback_destination": True}
    kinds = get_type_hints(SettingsOptions)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise MisuseError(f"--setting {pair} has no value; write NAME=VALUE, such as --setting memory_mb=512")
        options[name] = text if str in given.kinds_of(kinds.get(name, str)) else _value(text)
    return given.settings(DEFAULTS, options)


def _value(text: str) -> Any:  # any JSON value, or the text itself
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _token(wanted: str | None) -> str | None:
    if wanted == "auto":
        return secrets.token_urlsafe(32)
    if wanted is not None and not (wanted.strip() == wanted != "" and wanted.isascii() and wanted.isprintable()):
        raise MisuseError("--token must be printable ASCII without blanks around it; --token auto makes one")
    return wanted


def _serve(options: argparse.Namespace, settings: Settings, token: str | None, keeper: Keeper) -> None:
    """Serve until it is time to end. Raises MisuseError and OSError where it cannot begin."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(keeper)
        extensions_side = runtime_server(options.port)
        undo.callback(extensions_side.close)
        control_side = control_server(options.control_port)
        undo.callback(control_side.close)
        session = Session(extensions_side, settings, keeper.do)
        control = Control(session, control_side.port, token)
        control_side.attach(control.handle)
        undo.callback(control_side.detach, control.handle)
        undo.callback(lambda: _tell(*session.close()))  # first: calls that still run are answered
        told: dict[str, object] = {
            "runtime_api": extensions_side.address,
            "control": control_side.address,
            "env": session.env,
            "hosts": HOSTS_LINE,
            "pid": os.getpid(),
        }
        secret = {} if token is None else {"token": token}
        undo.enter_context(ready_file(options.ready_file, {**told, **secret}))
        shown = told if options.ready_file else {**told, **secret}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(shown), flush=True)
        keeper.keep(Over())


def _tell(violations: str | None, suspicions: Sequence[str]) -> None:
    """What nobody has asked for."""
    for text in (*suspicions, *([violations] if violations else [])):
        print(f"{_NAME}: {text}", file=sys.stderr)
