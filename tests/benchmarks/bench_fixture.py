"""What a fixture costs per test: CPU microseconds over an empty test, in one run, each kind in its own session.

    python tests/benchmarks/bench_fixture.py [tests]

The slope between two session lengths leaves out what a session pays once (import, the listening socket).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FIXTURES = ("", "lambda_telemetry", "async_lambda_telemetry", "httpserver", "respx_mock")
ROUNDS = 2

_RUN = """
import os, sys, time
import pytest
code = pytest.main([sys.argv[1], "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore"])
assert code == 0, code
times = os.times()
print("CPU", times.user + times.system)
"""


def session_seconds(folder: Path, fixture: str, count: int) -> float:
    """CPU seconds of one pytest session of `count` tests that each take `fixture`."""
    file = folder / f"test_{fixture or 'empty'}_{count}.py"
    file.write_text(
        "import pytest\n"
        f"@pytest.mark.parametrize('number', range({count}))\n"
        f"def test_it(number{', ' if fixture else ''}{fixture}):\n    pass\n"
    )
    done = subprocess.run([sys.executable, "-c", _RUN, str(file)], capture_output=True, text=True, check=True)
    return float(done.stdout.rsplit("CPU", 1)[1])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    lengths = (count // 10, count)
    best = dict.fromkeys(((fixture, length) for fixture in FIXTURES for length in lengths), float("inf"))
    with tempfile.TemporaryDirectory() as name:
        for _ in range(ROUNDS):
            for fixture, length in best:
                best[fixture, length] = min(best[fixture, length], session_seconds(Path(name), fixture, length))
    few, many = lengths
    slopes = {one: (best[one, many] - best[one, few]) / (many - few) * 1e6 for one in FIXTURES}
    for fixture, slope in slopes.items():
        print(f"{fixture or 'an empty test':24}{slope - (slopes[''] if fixture else 0):8.0f} us")


if __name__ == "__main__":
    main()
