"""Judges that others wrote look at the sandbox from inside, and at our programs: amicontained (Go
module), stress-ng and checksec (Debian). What a judge says of us is asserted; what it says in
bubblewrap and crun, where installed, is printed beside it. What cannot be obtained is skipped with
the reason."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build/release"))
SUPERVISOR = BUILD / "src/programs/cupel-sandbox/cupel-sandbox"
CACHE = ROOT / "build/judges"
MIB = 1 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return None


def go_program(module, version, package=""):
    """The module's program, static. A version is named: not every proxy lists them."""
    package = f"{module}/{package}".rstrip("/")
    target = CACHE / f"{pathlib.Path(module).name}-{version}"
    if target.exists():
        return target
    if not shutil.which("go"):
        pytest.skip("no go: install golang-go from 1.21 on")
    room = CACHE / "module"
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    (room / "go.mod").write_text(f"module judge\ngo 1.21\nrequire {module} {version}\n")
    (room / "judge.go").write_text(f'//go:build tools\n\npackage judge\n\nimport _ "{package}"\n')
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOMAXPROCS": "2"}
    for command in (["mod", "tidy"], ["build", "-o", target, package]):
        done = subprocess.run(["go", *command], cwd=room, env=environment, capture_output=True,
                              text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"go proxy: {module}@{version}: {done.stderr.strip().splitlines()[-1]}")
    return target


def image_of(folder, program):
    """A root directory with this program and its libraries."""
    for name in ("bin", "dev", "etc", "proc", "tmp", "usr", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for name in {word for word in listed.split() if word.startswith("/")}:
        target = folder / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    shutil.copy(program, folder / "bin/judge")
    for folder_above in (folder, *list(folder.parents)[:1]):
        folder_above.chmod(0o755)
    return folder


def in_cupel(image, *words, limits=None):
    """The run's output and its result."""
    options = [f"--limit={name}={value}" for name, value in (limits or {}).items()]
    options = [part for option in options for part in option.split("=", 1)]
    done = subprocess.run([SUPERVISOR, "run", "--root", image, "--may-lack", "apparmor", "--may-lack",
                           "memfd-noexec", "--json", *options, "--", "/bin/judge", *words],
                          capture_output=True, text=True, timeout=200, check=False)
    line = next(line for line in done.stderr.splitlines() if line.startswith('{"cause"'))
    return done.stdout + done.stderr.split(line)[0], json.loads(line)


def in_bubblewrap(image, *words):
    if not shutil.which("bwrap"):
        return None
    return subprocess.run(["bwrap", "--ro-bind", image, "/", "--proc", "/proc", "--dev", "/dev",
                           "--tmpfs", "/tmp", "--unshare-all", "--uid", "1000", "--gid", "1000",
                           "--new-session", "--die-with-parent", "--clearenv", "/bin/judge", *words],
                          capture_output=True, text=True, timeout=100, check=False).stdout


def in_crun(image, folder, *words):
    """crun's own default configuration; it refuses a hybrid cgroup layout, so that part is hidden."""
    if not shutil.which("crun"):
        return None
    folder.mkdir()
    subprocess.run(["crun", "spec"], cwd=folder, check=True)
    spec = json.loads((folder / "config.json").read_text())
    spec["process"].update(terminal=False, args=["/bin/judge", *words])
    spec["root"] = {"path": str(image), "readonly": True}
    (folder / "config.json").write_text(json.dumps(spec))
    name = f"judge-{os.getpid()}"
    script = ("umount /sys/fs/cgroup/unified 2>/dev/null; "
              "exec crun run --pid-file \"$0/pid\" --bundle \"$0\" $1")
    try:
        return subprocess.run(["unshare", "--mount", "sh", "-c", script, folder, name],
                              capture_output=True, text=True, timeout=20, check=False).stdout
    except subprocess.TimeoutExpired as late:  # amicontained looks through all of crun's /sys
        return (late.stdout or b"").decode()
    finally:  # it lives on without the crun that started it
        pid = (read(folder / "pid") or "0").strip()
        subprocess.run(["crun", "delete", "--force", name], capture_output=True, check=False)
        deadline = time.monotonic() + 20
        while "judge" in (read(f"/proc/{pid}/comm") or ""):
            os.kill(int(pid), signal.SIGKILL)
            assert time.monotonic() < deadline, "a container of crun does not die"
            time.sleep(0.05)


class Contained:
    """What amicontained found."""

    def __init__(self, text):
        self.seccomp = re.search(r"Seccomp: (\w+)", text)[1]
        self.capabilities = re.findall(r"(?:BOUNDING|AMBIENT|EFFECTIVE|PERMITTED) -> (.*)", text)
        self.blocked = set(" ".join(re.findall(r"Blocked Syscalls.*\n\t(.*)", text)).split())
        self.maps = re.findall(r"Container -> (\d+)\tHost -> (\d+)\tRange -> (\d+)", text)
        self.pid_namespace = re.search(r"pid: (.*)", text)[1]


def test_amicontained(tmp_path):
    image = image_of(tmp_path / "image",
                     go_program("github.com/genuinetools/amicontained", "v0.4.9"))
    text, result = in_cupel(image)
    assert result["cause"] == "exited" and result["exit_code"] == 0, text
    ours = Contained(text)
    rows = {"cupel": ours}
    for name, text in (("bubblewrap", in_bubblewrap(image)),
                       ("crun", in_crun(image, tmp_path / "bundle"))):
        if text and "Seccomp:" in text:
            rows[name] = Contained(text)
    for name, row in rows.items():
        print(f"amicontained in {name}: seccomp {row.seccomp}, {len(row.blocked)} calls blocked, "
              f"capabilities {len(' '.join(row.capabilities).split())}, ids {row.maps}")
    assert ours.seccomp == "filtering" and ours.capabilities == []
    assert len(ours.maps) == 1 and ours.maps[0][0] == "1000" and ours.maps[0][2] == "1"
    assert int(ours.maps[0][1]) >= 2_000_000
    assert "error" in ours.pid_namespace  # PID 1 cannot be looked at
    assert {"ADD_KEY", "BPF", "CHROOT", "FANOTIFY_INIT", "INIT_MODULE", "INOTIFY_INIT", "KEXEC_LOAD",
            "KEYCTL", "MINCORE", "MODIFY_LDT", "MOUNT", "MQ_OPEN", "OPEN_BY_HANDLE_AT",
            "PERF_EVENT_OPEN", "PIVOT_ROOT", "PROCESS_VM_WRITEV", "PTRACE", "SETNS", "SHMGET",
            "SWAPON", "UMOUNT2", "UNSHARE", "USERFAULTFD", "VMSPLICE"} <= ours.blocked
    assert len(ours.blocked) >= 100
    assert all(len(ours.blocked) > len(row.blocked) for row in rows.values() if row is not ours)


def test_cdk(tmp_path):
    """Its verdict was never seen here: it is printed, and must end."""
    program = go_program("github.com/cdk-team/CDK", "v1.5.4", "cmd/cdk")
    text, result = in_cupel(image_of(tmp_path / "image", program), "evaluate",
                            limits={"wall_ms": 60000})
    print(text)
    assert result["cause"] == "exited"


def test_go_judge_can_be_measured():
    """The peer that keeps containers ready; bench/sandbox.py measures it once it is built."""
    program = go_program("github.com/criyle/go-judge", "v1.8.5", "cmd/go-judge")
    assert subprocess.run([program, "--help"], capture_output=True, check=False).stderr


def host_state():
    """What a stressor that got out would have changed."""
    stressors = [entry for entry in pathlib.Path("/proc").glob("[0-9]*/comm")
                 if (read(entry) or "").strip() in ("judge", "stress-ng")]
    return {"mounts": read("/proc/self/mountinfo"), "stressors": stressors,
            "queues": [read(f"/proc/sysvipc/{kind}") for kind in ("shm", "sem", "msg")],
            "sysctls": [read(f"/proc/sys/kernel/{name}") for name in
                        ("core_pattern", "hostname", "domainname", "printk", "sysrq")],
            "swaps": read("/proc/swaps"), "modules": read("/proc/modules"),
            "loops": sorted(path.name for path in pathlib.Path("/dev").glob("loop*")),
            "links": sorted(os.listdir("/sys/class/net"))}


@pytest.fixture(scope="module")
def stress_image(tmp_path_factory):
    program = shutil.which("stress-ng")
    if not program:
        pytest.skip("no stress-ng: apt-get install stress-ng")
    return image_of(tmp_path_factory.mktemp("stress") / "image", program)


SLACK = 64 << 10  # the kernel may not refuse every page that it needs itself at the limit
DEFAULTS = {"wall_ms": 60000}
# stressors, limits, causes that are right, and what the statistics must say
STRESS = {
    "memory": (["--vm", "2", "--vm-bytes", "200m"], {"memory_bytes": 64 * MIB}, {"memory"},
               lambda result: result["memory_peak_bytes"] == 64 * MIB),
    "forks": (["--fork", "20"], {"processes": 10}, {"processes"},
              lambda result: result["processes_peak"] == 10),
    "disk": (["--hdd", "2", "--hdd-bytes", "8m"], {"disk_bytes": 4 * MIB}, {"disk", "exited"},
             lambda result: result["disk_bytes"] <= 4 * MIB),
    "large file": (["--fallocate", "1", "--fallocate-bytes", "64m"], {}, {"disk", "exited"},
                   lambda result: result["disk_bytes"] <= 10 * MIB),
    "processor": (["--cpu", "2"], {"cpu_ms": 1000}, {"cpu-timeout"},
                  lambda result: 1_000_000 <= result["cpu_usec"] < 2_000_000),
    "time": (["--sleep", "2"], {"wall_ms": 700}, {"wall-timeout"},
             lambda result: 700_000 <= result["wall_usec"] < 5_000_000),
    "class os": (["--class", "os", "--all", "1", "-x", "sem-sysv"],
                 {"processes": 256, "tasks": 512, "memory_bytes": 128 * MIB},
                 {"memory", "exited", "processes", "disk"},
                 lambda result: result["memory_peak_bytes"] <= 128 * MIB + SLACK),
    "class vm": (["--class", "vm", "--all", "1"],
                 {"processes": 256, "tasks": 512, "memory_bytes": 128 * MIB},
                 {"memory", "exited", "processes", "disk"},
                 lambda result: result["memory_peak_bytes"] <= 128 * MIB + SLACK),
    "class filesystem": (["--class", "filesystem", "--all", "1"],
                         {"processes": 256, "tasks": 512}, {"exited", "disk", "processes", "memory"},
                         lambda result: result["disk_bytes"] <= 100 * MIB),
    "class pipe": (["--class", "pipe", "--all", "1"], {"processes": 256, "tasks": 512},
                   {"exited", "processes", "memory"},
                   lambda result: result["memory_peak_bytes"] <= 512 * MIB),
}


@pytest.mark.parametrize("name", STRESS)
def test_stress_ng(stress_image, name):
    words, limits, causes, is_held = STRESS[name]
    before = host_state()
    text, result = in_cupel(stress_image, *words, "--timeout", "5", "--temp-path", "/work",
                            limits={**DEFAULTS, **limits})
    print(f"stress-ng, {name}: {result['cause']}, exit code {result['exit_code']}, "
          f"{result['wall_usec'] // 1000} ms, {result['memory_peak_bytes'] // MIB} MiB, "
          f"{result['processes_peak']} processes at once, {result['processes_total']} in all")
    assert result["cause"] in causes, text[-2000:]
    assert is_held(result), result
    assert host_state() == before


def test_checksec():
    """How our programs were linked. The supervisor is static at a fixed address; the payload can
    neither see nor reach its memory (tests/unit/test_sandbox_attacks.c)."""
    if not shutil.which("checksec"):
        pytest.skip("no checksec: apt-get install checksec")
    for folder in sorted((BUILD / "src/programs").iterdir()):
        program = folder / folder.name
        if not program.is_file():
            continue
        row = json.loads(subprocess.run(["checksec", f"--file={program}", "--output=json"],
                                        capture_output=True, text=True, check=True).stdout)
        row = row[str(program)]
        print(f"checksec {folder.name}: " + ", ".join(f"{key} {value}" for key, value in row.items()))
        is_static = folder.name == "cupel-sandbox"
        assert row["canary"] == row["nx"] == "yes" and row["rpath"] == row["runpath"] == "no"
        assert row["pie"] == ("no" if is_static else "yes"), folder.name
        assert row["relro"] == ("partial" if is_static else "full"), folder.name
