"""Who may control the server: programs of this machine, and no page in a browser."""

import hmac
import re

from ..wire.exchange import HttpRequest

_LOOPBACK = re.compile(r"(?:127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_JSON = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_ELSEWHERE = ("cross-site", "same-site")


def refusal(request: HttpRequest, port: int, token: str | None) -> tuple[int, str] | None:
    """The status and the reason with which a request is refused; None where it is let in.

    A name that somebody has made resolve to the loopback is no loopback host, and a page of another site, or another
    port, is a foreign origin. `token` is what each call must bear, if there is one.
    """
    host = request.headers.get("Host", "")
    if not _LOOPBACK.fullmatch(host):
        return 403, f"the Host {host!r} is not this machine's loopback; call http://127.0.0.1:{port}"
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in {f"http://{one}:{port}" for one in ("127.0.0.1", "localhost")}:
        return 403, f"the Origin {origin!r} is foreign: pages of other sites must not control this server"
    if request.headers.get("Sec-Fetch-Site") in _ELSEWHERE:
        return 403, "a page of another site has made this request: it must not control this server"
    if token is not None and not _bears(request, token):
        return 401, "this server wants its token: send the header `Authorization: Bearer TOKEN`"
    return None


def media_type_refusal(request: HttpRequest) -> str | None:
    """Why the body of a request is not taken: any other type may be sent by a page without asking."""
    kind = request.headers.get("Content-Type")
    if kind is not None and _JSON.fullmatch(kind.strip()):
        return None
    if kind is None and request.method == "DELETE" and not request.body:
        return None
    sent = "no Content-Type was sent" if kind is None else f"the Content-Type is {kind!r}"
    return f"{sent}; send `Content-Type: application/json`"


def _bears(request: HttpRequest, token: str) -> bool:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(sent.strip().encode("latin-1", "replace"), token.encode("latin-1", "replace"))
    return same and scheme.lower() == "bearer"
