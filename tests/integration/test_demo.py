"""tools/demo.sh: the main job as a newcomer sees it, and that it leaves nothing behind."""
import glob
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import service as svc

DEMO = svc.ROOT / "tools" / "demo.sh"
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not (svc.IMAGES / "base").exists(),
                                reason="needs root and a built image")


def leftovers(before):
    """Processes and directories of demos that were not there before."""
    deadline = time.monotonic() + 10
    while True:
        rows = {pid for pid in svc.our_processes() if pid not in before[0]}
        folders = set(glob.glob("/tmp/cupel-demo.*")) - before[1]
        if not rows and not folders or time.monotonic() > deadline:
            return rows | folders
        time.sleep(0.1)


@pytest.fixture
def before():
    return set(svc.our_processes()), set(glob.glob("/tmp/cupel-demo.*"))


def test_demo(before):
    begin = time.monotonic()
    process = subprocess.run([DEMO, svc.BUILD], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    out = process.stdout
    assert out.index("SIMULATED") < out.index("1. A private dataset")
    for kind in ("email", "phone", "ssn"):
        planted, found = re.search(rf"{kind} +planted +(\d+) +found +(\d+)", out).groups()
        assert planted == found
    assert len(re.findall(r"certificate http://127.0.0.1:\d+/certificate/cert_", out)) == 2
    assert out.count("verdict SIMULATED") == 3 and "pass         result" in out
    assert "\033" not in out  # no colours into a pipe
    assert time.monotonic() - begin < 15
    assert not leftovers(before)


@pytest.mark.parametrize("number, heading", [(signal.SIGINT, "1. "), (signal.SIGINT, "2. "),
                                             (signal.SIGTERM, "3. ")])
def test_demo_interrupted(before, number, heading):
    process = subprocess.Popen([DEMO, svc.BUILD], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    assert any(line.startswith(heading) for line in process.stdout)
    os.killpg(process.pid, number)
    process.stdout.read()
    assert process.wait(timeout=30) != 0
    assert not leftovers(before)


def test_demo_that_cannot_start_says_why(before, tmp_path):
    process = subprocess.run([DEMO, svc.BUILD], capture_output=True, text=True, timeout=60,
                             env={"PATH": os.environ["PATH"], "CUPEL_STATE_DIR": str(tmp_path)})
    assert process.returncode != 0 and "no image" in process.stderr.lower() + process.stdout.lower()
    assert not leftovers(before)
