"""Moments of the environment's time, for a person."""


def since_start(elapsed_us: int) -> str:
    """`+1.300 s`."""
    return f"+{elapsed_us / 1_000_000:.3f} s"
