"""Certificates for the loopback, by trustme (the extra `tls`)."""

import os
import shutil
import ssl
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.errors import MisuseError

if TYPE_CHECKING:
    import trustme

NAMES = ("localhost", "127.0.0.1", "::1")
VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
"""Where OpenSSL (with Python, Go, curl and more), Node.js and requests look for authorities to trust."""


@cache
def _authority() -> "trustme.CA":
    """One for this process: a key costs some milliseconds."""
    try:
        import trustme
    except ImportError:
        raise MisuseError(
            "tls=True needs trustme, which makes the certificate: pip install 'pytest-lambda-telemetry[tls]'"
        ) from None
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    """What a backend with TLS speaks. Raises MisuseError where trustme is not installed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(*NAMES).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def write_authority() -> tuple[str, Callable[[], None]]:
    """The path of a file with the certificate to trust, and what takes it away again."""
    folder = Path(tempfile.mkdtemp(prefix=f"pytest-lambda-telemetry-{os.getpid()}-"))
    file = folder / "ca.pem"
    file.write_bytes(_authority().cert_pem.bytes())
    return str(file), lambda: shutil.rmtree(folder, ignore_errors=True)
