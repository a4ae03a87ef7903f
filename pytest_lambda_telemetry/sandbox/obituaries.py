"""What is said of the process of an extension that did not live, or end, as it should."""

from ..host.process import ExtensionProcess, address_in_use

EXCUSED = (
    "\n  A call of it was refused before, as the test wanted (reject_next, expect_rejection): that it ends is no"
    " violation."
)


def ended_by_itself(process: ExtensionProcess) -> str:
    """It ended before it was told to."""
    remedy = address_in_use(process.output, process.address)
    return (
        f"the process of extension {process.name!r} ended by itself with exit code {process.returncode};"
        f" its last output:\n{process.last_lines}{f'{chr(10)}  {remedy}' if remedy else ''}"
    )


def crashed(process: ExtensionProcess) -> str:
    """It ended by itself after it had registered. Source: Extensions API."""
    return (
        f"Extension.Crash: {ended_by_itself(process)}\n  On Lambda that ends the environment, and the invocation with"
        " it, whatever the exit code. Let it run until next answers SHUTDOWN."
    )


def never_registered(process: ExtensionProcess, when: str, *, running: bool) -> str:
    """It was no extension by then. Source: Extensions API."""
    how = "was still running" if running else f"ended with exit code {process.returncode}"
    remedy = "; or let the test wait for it: wait_until_ready()" if running else ""
    return (
        f"the process of extension {process.name!r} was started and did not register {when}; it {how}, its last"
        f" output:\n{process.last_lines}\n  On Lambda init then fails, and with it every invocation. Let it POST"
        f" /2020-01-01/extension/register with its file's name in Lambda-Extension-Name{remedy}."
    )


def killed(process: ExtensionProcess, *, asked: bool) -> str:
    """It did not end at SHUTDOWN; `asked`: it got it. Source: Extensions API, its shutdown phase."""
    if not asked:
        return (
            f"extension {process.name!r} had to be killed: it never learned of SHUTDOWN, because it did not ask for its"
            f" next event; its last output:\n{process.last_lines}\n  On Lambda init, or the invocation, then ends as a"
            " time-out. Let it GET /2020-01-01/extension/event/next once it has subscribed, and after each event."
        )
    return (
        f"extension {process.name!r} got SHUTDOWN and had to be killed, because it did not end in the time that"
        f" it was given; its last output:\n{process.last_lines}\n  On Lambda what it has not sent by then is"
        " lost. Let it flush and exit when next answers SHUTDOWN, before deadlineMs; shutdown_timeout_s allows"
        " more or less time, at most Lambda's own."
    )


def ended_with_code(process: ExtensionProcess) -> str:
    """It ended at SHUTDOWN, as one that failed."""
    return (
        f"extension {process.name!r} ended with exit code {process.returncode} after SHUTDOWN; its last"
        f" output:\n{process.last_lines}\n  On Lambda that counts as a failure of the extension. Exit with 0."
    )
