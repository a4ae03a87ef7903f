"""How an execution environment ends with an invocation: facts in, steps out.

Sources: Extensions API for the reasons of SHUTDOWN; guide for the flush when the runtime's streams close. That a
crash and a want of memory have status "error" was seen: DataDog/datadog-lambda-extension pull 776.
"""

from .invocation import Invoked
from .steps import Action, Flush, Shutdown

EXIT_ERROR = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"


def timed_out(of: Invoked, ran_ms: float) -> list[Action]:
    """The function ran into its time-out: runtimeDone, report, SHUTDOWN."""
    done = of.runtime_done("timeout", None, ran_ms)
    return [*done, of.report("timeout", None, ran_ms), Shutdown("timeout")]


def broken(of: Invoked, ran_ms: float, error_type: str, used_mb: int | None = None) -> list[Action]:
    """The runtime is gone: nothing more comes from it, what is buffered is flushed, SHUTDOWN."""
    return [
        *of.runtime_done("error", error_type, ran_ms),
        of.report("error", error_type, ran_ms, used_mb=used_mb),
        Flush(),
        Shutdown("failure"),
    ]
