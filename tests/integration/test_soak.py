"""A hundred executions leave nothing; so do processes that die at random. tests/slow has the same
ten times longer."""
import os
import pathlib
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import soak  # noqa: E402
import service as svc  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")


def test_a_hundred_executions_leave_nothing():
    service = svc.Service()
    try:
        soak.sequential(service, 16)
        before, rss = soak.settle(service), service.rss_kib()
        seen = soak.sequential(service, 100)
        after = soak.settle(service, before)
        assert after == before
        assert service.rss_kib() - rss < 2048
        assert seen["completed"] >= 50 and seen["killed:memory"] >= 10 and seen["nonzero"] >= 10
    finally:
        service.close()


@pytest.mark.parametrize("helper", ["tee-sim", "cced-keys"])
def test_a_service_that_cannot_certify_ends(helper):
    service = svc.Service()
    try:
        family = soak.family(service)
        pids = [pid for pid, name in family.items() if name == helper]
        assert len(pids) == 1
        os.kill(pids[0], signal.SIGKILL)
        assert service.process.wait(timeout=10) == 1
        assert f"{helper} died" in service.log_text()
        deadline = time.monotonic() + 10
        while [pid for pid in family if svc.is_alive(pid)]:
            assert time.monotonic() < deadline, "something outlived the service"
            time.sleep(0.05)
        service.log.close()
        service.start()
        assert service.execute(svc.script("print('again')"))[1]["result"]["output"] == "again\n"
    finally:
        service.close()


def test_kill_nine_at_random():
    service = svc.Service()
    try:
        victims, accepted = soak.storm(service, kills=6, seed=4711)
        ends = soak.certified(service, accepted)
        assert len(ends) == len(set(accepted)) >= 3 and sum(victims.values()) == 6
        assert service.execute(svc.script("print('alive')"))[1]["result"]["output"] == "alive\n"
        family = soak.family(service)
    finally:
        service.close()
    assert not [pid for pid in family if svc.is_alive(pid)]
