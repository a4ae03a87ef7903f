"""Moments of the environment's time, for a person."""


def since_start(elapsed_us: int) -> str:
    """`+1.300 s`."""
    return f"+{elapsed_us / 1_000_000:.3f} s"


def in_advance(wait_us: int) -> str:
    """`in 25 ms: advance(ms=25)`, of what is due so much later."""
    ms = f"{wait_us / 1000:.3f}".rstrip("0").rstrip(".")
    return f"in {ms} ms: advance(ms={ms})"
