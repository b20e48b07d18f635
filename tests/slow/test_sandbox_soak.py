"""100,000 sandboxes, one after the other, in every tier: nothing of them may stay in the kernel.

CUPEL_SOAK_SANDBOXES sets another number. Counts of the whole machine are compared, so nothing else
should run; what the kernel frees later (network namespaces, dying cgroups) has some seconds.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))
import service as svc  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")
RUNS = int(os.environ.get("CUPEL_SOAK_SANDBOXES", "100000"))
SHARES = {"cold": 0.25, "hot": 0.25, "warm": 0.4, "parked": 0.05, "zygote": 0.05}
SLACK_KERNEL = 64  # objects that a slab keeps for the next
SOFT = ("groups in the kernel", "network namespaces", "processes")  # kernel threads come and go
SLACK_MEMORY_KIB = 32768
DRIVER = svc.BUILD / "bench" / "bench_sandbox"


def slab(name):
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines():
        if line.split()[0] == name:
            return int(line.split()[1])
    return 0


def controllers():
    rows = [line.split() for line in pathlib.Path("/proc/cgroups").read_text().splitlines()[1:]]
    return max(int(row[2]) for row in rows)


def kernel_memory_kib():
    text = pathlib.Path("/proc/meminfo").read_text()
    return sum(int(text.split(f"{name}:")[1].split()[0])
               for name in ("SUnreclaim", "Percpu", "KernelStack"))


def holdings():
    root = pathlib.Path("/sys/fs/cgroup")
    return {
        "processes": sum(entry.isdigit() for entry in os.listdir("/proc")),
        "mounts": len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": len([*root.glob("cupel/s*"), *root.glob("*/cupel/s*")]),
        "groups in the kernel": controllers(),
        "network namespaces": slab("net_namespace"),
    }


def has_settled(before, after):
    return all(after[key] <= before[key] + (SLACK_KERNEL if key in SOFT else 0) for key in before)


@pytest.fixture
def images():
    base = pathlib.Path(tempfile.mkdtemp(prefix="cupel-soak-"))
    base.chmod(0o755)
    for name in ("bin", "etc", "usr", "proc", "dev", "tmp", "work", "sys"):
        (base / name).mkdir()
    shutil.copy(svc.BUILD / "bench" / "noop", base / "bin")
    yield {"parked": pathlib.Path("/"), "zygote": pathlib.Path("/"), "": base}
    shutil.rmtree(base)


def drive(tier, runs, images):
    """The driver makes two runs a round: the first warms the caches."""
    is_python = tier in ("parked", "zygote")
    argv = ["/usr/bin/python3", "-c", "print(1)"] if is_python else ["/bin/noop"]
    line = "\t".join([tier, tier, str(images.get(tier, images[""])), *argv])
    began = time.monotonic()
    done = subprocess.run([DRIVER, "latency", str(runs // 2), "0"], input=line + "\n", text=True,
                          capture_output=True, check=False,
                          env={"CUPEL_SANDBOX": str(svc.PROGRAMS / "cupel-sandbox/cupel-sandbox")})
    assert done.returncode == 0, (tier, done.stderr)
    return time.monotonic() - began


def test_sandboxes_leave_nothing(images):
    for tier in SHARES:
        drive(tier, 20, images)
    before, memory = holdings(), kernel_memory_kib()
    for tier, share in SHARES.items():
        runs = int(RUNS * share)
        print(f"\n{tier}: {runs} runs in {drive(tier, runs, images):.0f} s", end="")
    deadline = time.monotonic() + 60
    while not has_settled(before, holdings()) and time.monotonic() < deadline:
        time.sleep(0.5)
    after, grown = holdings(), kernel_memory_kib() - memory
    print(f"\nbefore {before}\nafter  {after}\nkernel memory grew by {grown} KiB")
    assert has_settled(before, after)
    assert grown < SLACK_MEMORY_KIB
