"""A test that runs again must not take its first attempt's strays for its own."""

from tests.plugin.conftest import Run


def test_a_rerun_has_identifiers_of_its_own(run: Run) -> None:
    result = run(
        """
seen = []
def test_a(lambda_telemetry):
    if seen:
        assert subscribe(seen[0], subscribe_body(4243)).status == 403
        assert lambda_telemetry.requests == ()
    seen.append(register())
    assert len(seen) == len(set(seen))
    assert len(seen) == 2
""",
        conftest="""
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, log=False, nextitem=nextitem)
    item._initrequest()
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
""",
    )
    result.assert_outcomes(passed=1)
