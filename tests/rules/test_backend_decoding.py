"""Bodies behind their Content-Encoding: right, or refused with a reason, and never without a bound."""

import gzip
import sys
import zlib
from importlib import import_module

import pytest

from pytest_lambda_telemetry.backend.decoding import Undecodable, decode

LINE = b'{"message": "hello"}\n'
GZIP = gzip.compress(LINE, mtime=0)
BARE = zlib.compressobj(wbits=-15)
DEFLATED = BARE.compress(LINE) + BARE.flush()


UNDONE = {
    "nothing": ("", LINE, LINE),
    "identity": ("identity", LINE, LINE),
    "gzip": ("gzip", GZIP, LINE),
    "x-gzip in capitals": ("X-GZIP", GZIP, LINE),
    "a list with identity": ("GZip , identity", GZIP, LINE),
    "members": ("gzip", GZIP + GZIP, LINE * 2),
    "padding": ("gzip", GZIP + bytes(512), LINE),
    "no body": ("gzip", b"", b""),
    "deflate": ("deflate", zlib.compress(LINE), LINE),
    "bare deflate": ("deflate", DEFLATED, LINE),
    "deflate in gzip": ("deflate, gzip", gzip.compress(zlib.compress(LINE)), LINE),
    "gzip in gzip": ("gzip, gzip", gzip.compress(GZIP), LINE),
    "large": ("gzip", gzip.compress(bytes(5_000_000)), bytes(5_000_000)),
}


@pytest.mark.parametrize("what", UNDONE)
def test_what_is_known_is_undone(what: str) -> None:
    encoding, raw, body = UNDONE[what]
    assert decode(raw, encoding) == (body, "")


@pytest.mark.parametrize(
    ("encoding", "remark"),
    [
        ("br", "body left as it was sent: Content-Encoding br is not undone here"),
        ("br, gzip", "body left as it was sent: Content-Encoding br is not undone here"),
        ("x" * 3, "body left as it was sent: Content-Encoding xxx is not undone here"),
    ],
)
def test_what_is_unknown_stays_as_it_was_sent_and_that_is_said(encoding: str, remark: str) -> None:
    assert decode(GZIP, encoding) == (GZIP, remark)


HEAD = "Error -3 while decompressing data: incorrect header check"
REFUSED = {
    "no gzip": ("gzip", LINE, f"the body is no valid gzip: {HEAD}"),
    "without its last byte": ("gzip", GZIP[:-1], "the body is no valid gzip: it ends too early"),
    "three bytes": ("gzip", GZIP[:3], "the body is no valid gzip: it ends too early"),
    "a wrong length": (
        "gzip",
        GZIP[:-4] + b"abcd",
        "the body is no valid gzip: Error -3 while decompressing data: incorrect length check",
    ),
    "more after padding": (
        "gzip",
        GZIP + b"\0\0x",
        "the body is no valid gzip: what follows its end is no other member",
    ),
    "a second member that ends early": ("gzip", GZIP + GZIP[:1], "the body is no valid gzip: it ends too early"),
    "no deflate": ("deflate", LINE, f"the body is no valid deflate: {HEAD}"),
    "the wrong order": ("gzip, deflate", GZIP, f"the body is no valid deflate: {HEAD}"),
    "too many members": (
        "gzip",
        gzip.compress(b"") * 10_001,
        "the body is no valid gzip: it has more than 10,000 members",
    ),
    "too many layers": ("gzip, " * 8 + "gzip", GZIP, "the body is encoded 9 times over, more than 8 times"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_broken_is_refused_with_the_reason(what: str) -> None:
    encoding, raw, reason = REFUSED[what]
    with pytest.raises(Undecodable) as caught:
        decode(raw, encoding)
    assert (caught.value.status, str(caught.value)) == (400, reason)


def test_a_bomb_is_unpacked_up_to_the_limit_and_no_further() -> None:
    bomb = gzip.compress(bytes(1_000_000))
    assert decode(bomb, "gzip", limit=1_000_000) == (bytes(1_000_000), "")
    for encoding, raw in (("gzip", bomb), ("gzip, gzip", gzip.compress(bomb)), ("gzip", bomb * 2)):
        with pytest.raises(Undecodable) as caught:
            decode(raw, encoding, limit=999_999)
        assert (caught.value.status, str(caught.value)) == (
            413,
            "the body is larger than 999,999 bytes once it is unpacked",
        )


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python has zstd")
def test_zstd_stays_as_it_was_sent_before_python_3_14() -> None:
    remark = "body left as it was sent: Content-Encoding zstd is not undone here; Python has zstd from 3.14 on"
    assert decode(b"(\xb5/\xfd", "zstd") == (b"(\xb5/\xfd", remark)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="this Python has no zstd")
def test_zstd_is_undone_within_the_same_bounds() -> None:
    zstd = import_module("compression.zstd")
    frame = zstd.compress(LINE)
    assert decode(frame * 2, "zstd") == (LINE * 2, "")
    assert decode(zstd.compress(bytes(5_000_000)), "zstd") == (bytes(5_000_000), "")
    for raw, status in ((frame[:-1], 400), (LINE, 400), (zstd.compress(bytes(1_000)), 413)):
        with pytest.raises(Undecodable) as caught:
            decode(raw, "zstd", limit=999)
        assert caught.value.status == status
