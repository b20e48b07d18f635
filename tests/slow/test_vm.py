"""The sandbox and the whole service on Debian's kernel 6.1 with cgroup v2 only, in an emulated
machine; and what the machine's host finds in its memory after a run. See vm/README.md."""
import json
import os
import pathlib
import re
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "vm"))
import guest as vm  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs qemu-system-x86"),
    pytest.mark.skipif(not os.access("/bin/busybox", os.X_OK), reason="needs busybox-static"),
]
BOOT_SECONDS = 300  # an idle machine needs 30
TAG_COUNT = 2000


def script(code, tools=("python",), name="main.py", **sandbox):
    return {"sandbox": {"tools": list(tools), "scripts": {name: code}, **sandbox}}


LIMITS = {"timeout_seconds": 60, "max_memory_mb": 64, "max_output_kb": 64, "max_disk_mb": 8,
          "max_file_mb": 4, "max_processes": 4}
# The profile that the guest has loaded then refuses what else the tracer kills: "memory-file".
REQUESTS = {  # name: (request, status, output or None)
    "data": ({**script("grep -c a $CUPEL_DATASET\nsed --version >/dev/null 2>&1 || echo no sed\n"
                       "python3 -c 'print(6 * 7)'\n", ("bash", "grep", "python"), "main.sh"),
              "dataset": {"format": "txt", "data": "a\nb\na\n"}}, "completed", "2\nno sed\n42\n"),
    "memory": (script("x = []\nwhile True: x.append(bytearray(1 << 20))", environment=LIMITS),
               "killed:memory", None),
    "wall": (script("while True: pass", environment={**LIMITS, "timeout_seconds": 2}),
             "killed:wall-timeout", ""),
    "output": (script("while True: print('x' * 4096)", environment=LIMITS), "killed:output", None),
    "disk": (script("for i in range(9): open(f'b{i}','wb').write(b'x' * (1 << 20))",
                    environment=LIMITS), "killed:disk", ""),
    "processes": (script("import os, signal\nn = 0\ntry:\n    while True:\n        n += 1\n"
                         "        if os.fork() == 0: signal.pause()\nexcept OSError: print(n, flush=True)\n",
                         environment=LIMITS), "completed", "4\n"),
    "own-binary": (script("import os, shutil\nshutil.copy('/usr/bin/python3', '/work/own')\n"
                          "os.chmod('/work/own', 0o755)\n"
                          "try:\n    os.execv('/work/own', ['own', '-c', 'print(1)'])\n"
                          "except OSError: print('refused')\n"), "completed", "refused\n"),
    "memory-file": (script("import os\nfd = os.memfd_create('x', 0)\n"
                           "os.write(fd, open('/usr/bin/python3', 'rb').read())\n"
                           "try:\n    os.execve(fd, ['x', '-c', 'print(1)'], {})\n"
                           "except OSError: print('refused')\n"),
                    *(("completed", "refused\n") if vm.PARSER.is_file() else ("killed:denied", ""))),
}


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    machine = vm.Guest(tmp_path_factory.mktemp("vm"), ["unit", "service"],
                       {name: row[0] for name, row in REQUESTS.items()})
    try:
        machine.end(BOOT_SECONDS)
    finally:
        machine.close()
    print(f"\nguest ran {machine.seconds:.0f} s")
    assert "@@ guest end 0" in machine.lines, machine.text()
    return machine


def part(machine, begin, end):
    """Lines between two results."""
    rows = machine.lines
    first = next(i for i, line in enumerate(rows) if line.startswith(f"@@ {begin}"))
    last = next(i for i, line in enumerate(rows) if i > first and line.startswith(f"@@ {end}"))
    return rows[first + 1:last]


def test_it_is_another_kernel(boot):
    assert boot.values("unit")["begin"].startswith("6.1.")
    assert not [line for line in boot.lines if line.startswith("@@ guest fail")]


SANDBOX_TESTS = ("test_sandbox", "test_sandbox_attacks", "test_sandbox_files", "test_sandbox_hostile",
                 "test_sandbox_pool", "test_sandbox_results", "test_sandbox_rootless", "test_sandbox_warm",
                 "test_sandbox_zygote")
EXPECTED_THERE = (
    # Milliseconds mean nothing on an emulated processor.
    ":a_closed_control_kills_within_15_ms:",
    # One of the probes runs a memory file; without memfd_noexec that costs its life.
    ":exposure: cause denied (executed a file that is not part of the image), expected exited",
)


@pytest.mark.parametrize("program", SANDBOX_TESTS)
def test_the_sandbox_tests_pass_there(boot, program):
    rows = vm.read_tap(part(boot, f"unit program {program} ", f"unit ended {program} "))
    assert rows
    failed = [text for ok, text in rows if not ok]
    assert [t for t in failed if not any(known in t for known in EXPECTED_THERE)] == []


def test_selftest_and_doctor(boot):
    assert boot.values("unit")["selftest"] == "0"
    assert boot.values("unit")["zygote"] == "1000 42"
    rows = part(boot, "unit container", "unit groups")
    doctor = dict(line.split(None, 2)[1::-1] for line in rows)
    assert doctor.pop("memfd-noexec") == "NO"
    assert doctor.pop("apparmor") == ("yes" if vm.PARSER.is_file() else "NO")
    assert doctor["cgroups"] == "yes" and set(doctor.values()) == {"yes"}
    assert any(line.split() == ["yes", "cgroups", "cgroup-v2"] for line in boot.lines)


def test_in_a_container_there(boot):
    answer = boot.values("unit")["container"]
    assert answer.startswith("NO   cgroups 42 ") and '"backend":"cgroup-v2"' in answer  # before, after a move


def test_nothing_is_left_there(boot):
    for task in ("unit", "service"):
        values = boot.values(task)
        assert (values["groups"], values["processes"], values["end"]) == ("0", "0", "0")
    assert (boot.values("service")["exit"], boot.values("service")["loops"]) == ("0", "0")


def answer(machine, kind, name):
    prefix = f"@@ service {kind} {name} "
    lines = [line for line in machine.lines if line.startswith(prefix + "{")]
    assert len(lines) == 1, machine.text()
    return json.loads(lines[0][len(prefix):])


@pytest.mark.parametrize("name", REQUESTS)
def test_execute_there(boot, name):
    _, status, output = REQUESTS[name]
    reply = answer(boot, "reply", name)
    assert reply["status"] == status, reply["status_detail"]
    if output is not None:
        assert reply["result"]["output"] == output
    certificate = answer(boot, "certificate", name)
    assert certificate["verdict"] == "simulated"
    predicate = certificate["statement"]["predicate"]
    assert predicate["outcome"]["status"] == status
    sandbox = predicate["run"]["sandbox"]
    assert sandbox["backend"] == "cgroup-v2"
    assert sandbox["tier"] in (("cold", "hot") if name == "data" else ("parked",))
    assert "memfd-noexec" not in sandbox["enforced"] and "memory-limit" in sandbox["enforced"]


def test_sandboxes_are_built_ahead_there(boot):
    metrics = dict(row.rsplit(" ", 1) for row in boot.values("service")["metrics"].split(";") if row)
    assert float(metrics["cupel_sandboxes_taken_total"]) >= 2, metrics


def canary_tag():
    """What `canary_request` in vm/init computes: in no file, so that no file can be found."""
    x, tag = 4711, ""
    for _ in range(24):
        x = (x * 75 + 74) % 65537
        tag += f"{x % 65536:04x}"
    return tag.encode()


def tags_in(memory):
    return len(set(re.findall(canary_tag() + rb"(\d{6})", memory)))


@pytest.mark.parametrize("zeroes", [1, 0])
def test_no_byte_of_the_dataset_stays_in_the_machine(tmp_path, zeroes):
    """With init_on_free=1, which measured guests boot with, nothing; without, a negative control."""
    machine = vm.Guest(tmp_path, ["canary"], options=f"init_on_free={zeroes}")
    try:
        machine.wait_for("@@ canary live", BOOT_SECONDS)
        live = tags_in(machine.memory())
        machine.go()
        machine.wait_for("@@ canary wiped", BOOT_SECONDS)
        after = tags_in(machine.memory())
        machine.go()
        machine.end(BOOT_SECONDS)
    finally:
        machine.close()
    print(f"\ntags in memory: {live} of {TAG_COUNT} while it runs, {after} afterwards")
    assert json.loads(machine.values("canary")["reply"])["lifecycle"]["dataset_deleted"] is True
    assert live > TAG_COUNT * 98 // 100, "positive control (a row may cross pages everywhere)"
    if zeroes:
        assert after == 0
    else:
        assert after > TAG_COUNT // 2, "negative control: the scan sees what is not zeroed"
