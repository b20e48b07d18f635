#!/usr/bin/python3
"""Sandbox tiers against bare vfork+exec and against peers, interleaved in one run.

    bench/sandbox.py BUILD_DIR [--quick]

Needs root. Peers are used when installed (apt-get install bubblewrap crun runc firejail; nsjail, isolate
and minijail0, of which Debian 12 has no package, when they are in PATH; go-judge: see GoJudge). Prints,
and writes BUILD_DIR/bench/sandbox.md: latency in a tight loop and at 100 ms gaps, throughput, exposure, memory. Ratios
are against `bare` of the same round. With a real-time class (chrt) other work on the machine stays
away; peers of the OCI kind fail there, so they are measured without.
"""
import http.client
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = (ROOT / sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build/release"
QUICK = "--quick" in sys.argv
DRIVER = BUILD / "bench/bench_sandbox"
SUPERVISOR = BUILD / "src/programs/cupel-sandbox/cupel-sandbox"
HOSTILE = BUILD / "tests/hostile/hostile"
NOOP_PROGRAM = BUILD / "bench/noop"
EXPOSURE = BUILD / "tests/hostile/exposure"
NOOP = ["/bin/noop"]


def make_image(base):
    image = base / "image"
    for name in ("bin", "etc", "usr", "proc", "dev", "tmp", "work", "sys"):
        (image / name).mkdir(parents=True)
    shutil.copy(HOSTILE, image / "bin/hostile")
    shutil.copy(EXPOSURE, image / "bin/exposure")
    shutil.copy(NOOP_PROGRAM, image / "bin/noop")
    base.chmod(0o755)
    return image


def find_python_image(base):
    """The newest built sandbox image, mounted; None when there is none."""
    state = pathlib.Path(os.environ.get("CUPEL_STATE_DIR", "/var/lib/cupel"))
    images = sorted(state.glob("images/*.erofs"), key=lambda p: p.stat().st_mtime)
    if not images:
        return None
    target = base / "python"
    target.mkdir()
    subprocess.run(["mount", "-t", "erofs", images[-1], target], check=True)
    return target


def make_node_image(base):
    """The machine's node and its libraries; None when it has none."""
    node = shutil.which("node")
    if not node:
        return None
    image = base / "node"
    words = subprocess.run(["ldd", node], capture_output=True, text=True, check=True).stdout.split()
    for name in [os.path.realpath(node), *{word for word in words if word.startswith("/")}]:
        target = image / ("usr/bin/node" if name == os.path.realpath(node) else name[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    return image


REFUSED = ("bpf", "keyctl", "add_key", "request_key", "mount", "umount2", "ptrace", "perf_event_open",
           "userfaultfd", "unshare", "setns", "io_uring_setup", "init_module", "kexec_load")
NSJAIL_GROUPS = [pathlib.Path("/sys/fs/cgroup", name, "NSJAIL") for name in ("memory", "pids")]


def oci_bundle(base, image, program):
    bundle = base / ("bundle-" + pathlib.Path(program[0]).name)
    bundle.mkdir(exist_ok=True)
    spaces = ("pid", "mount", "network", "ipc", "uts")
    config = {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 1000, "gid": 1000}, "args": program,
                    "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": True,
                    "capabilities": {}},
        "root": {"path": str(image), "readonly": True},
        "hostname": "sandbox",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "nodev", "size=100m"]}],
        "linux": {"namespaces": [{"type": space} for space in spaces],
                  "resources": {"memory": {"limit": 512 << 20}, "pids": {"limit": 64}},
                  "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                      {"names": REFUSED, "action": "SCMP_ACT_ERRNO"}]}},
    }
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def peers(base, image, program):
    """name -> argv of one run of program on the image."""
    found = {}

    def tool(name):
        return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")

    def script(name, text):
        path = base / f"{name}-{pathlib.Path(program[0]).name}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return [str(path)]

    if bwrap := tool("bwrap"):
        found["bubblewrap"] = [
            bwrap, "--ro-bind", str(image), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs",
            "/tmp", "--unshare-all", "--uid", "1000", "--gid", "1000", "--new-session",
            "--die-with-parent", "--clearenv", *program]
    for name in ("crun", "runc"):
        if path := tool(name):
            bundle = oci_bundle(base, image, program)
            found[name] = script(name, f"exec {path} run --bundle {bundle} bench-$$")
    if firejail := tool("firejail"):
        # Debian's configuration forbids --chroot: the host's root, read-only.
        found["firejail"] = [firejail, "--quiet", "--noprofile", "--read-only=/", "--net=none",
                             "--seccomp", "--caps.drop=all", "--nonewprivs",
                             str(image) + program[0], *program[1:]]
    if nsjail := tool("nsjail"):
        for group in NSJAIL_GROUPS:  # it makes its groups below these
            if group.parent.is_dir():
                group.mkdir(exist_ok=True)
        names = ", ".join({"umount2": "umount", "io_uring_setup": "SYSCALL[425]"}.get(n, n) for n in REFUSED)
        found["nsjail"] = [
            nsjail, "-Mo", "-Q", "--chroot", str(image), "--user", "1000", "--group", "1000", "--tmpfsmount",
            "/tmp", "--cgroup_mem_max", str(512 << 20), "--cgroup_pids_max", "64",
            "--seccomp_string", f"ERRNO(1) {{ {names} }} DEFAULT ALLOW", "--", *program]
    if isolate := tool("isolate"):
        # Without control groups, which it knows only as v2. A run is three programs.
        found["isolate"] = script("isolate", f"""box=$(($$ % 1000))
{isolate} --init --box-id=$box >/dev/null || exit
{isolate} --silent --run --box-id=$box --no-default-dirs --dir=box=./box:rw --dir=bin={image}/bin \\
    --dir=dev:dev:norec --dir=dev/shm=tmpfs:fs:rw --dir=proc=proc:fs --dir=tmp:tmp --processes=10 \\
    --fsize=10240 --mem=524288 -- {' '.join(program)} || exit
exec {isolate} --cleanup --box-id=$box""")
    if minijail := tool("minijail0"):
        # The program is PID 1: with an init of minijail's own (-p) it crashes. No control groups, no filter.
        found["minijail"] = [minijail, "-T", "static", "-I", "-v", "-l", "-N", "-e", "--uts", "-P", str(image),
                             "-t100M", "-d", "-u", "1000", "-g", "1000", "-n", *program]
    return {name: argv for name, argv in found.items() if works(argv)}


COMPILE = ("i=0; while [ $i -lt 12 ]; do printf '#include <stdio.h>\\nint f%s(int x){return x*%s;}\\n' "
           "$i $i >DIR/a$i.c; gcc -O1 -c DIR/a$i.c -o DIR/a$i.o || exit 9; i=$((i+1)); done")


def compile_table(base, rounds):
    """12 small compilations, 49 processes, with the host's compiler: bare, sandboxed, traced. What they
    take drifts more than they differ, so each is compared with the bare one of its round."""
    if not shutil.which("gcc"):
        return []
    (base / "compile").mkdir()
    sandboxed = [str(SUPERVISOR), "run", "--root", "/", "--env", "PATH=/usr/bin:/bin"]
    job = COMPILE.replace("DIR", "/work")
    rows = {"bare": ["/bin/sh", "-c", COMPILE.replace("DIR", str(base / "compile"))],
            "cupel cold": [*sandboxed, "--", "/bin/sh", "-c", job],
            "cupel cold, traced": [*sandboxed, "--trace", "--", "/bin/sh", "-c", job]}
    times = {name: [] for name in rows}
    for _ in range(rounds):
        for name, argv in rows.items():
            start = time.perf_counter()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={"PATH": "/usr/bin:/bin"})
            times[name].append((time.perf_counter() - start) * 1e3)
    ratios = {name: statistics.median(a / b for a, b in zip(values, times["bare"]))
              for name, values in times.items()}
    return ["### Compile-like work (12 small files)", "", "| contender | p50 ms | x bare |", "|---|---|---|",
            *(f"| {name} | {statistics.median(values):.0f} | {ratios[name]:.2f} |"
              for name, values in times.items()), ""]


def in_own_mounts():
    """crun refuses a hybrid cgroup layout: hide its unified part, from all contenders alike."""
    if "CUPEL_BENCH_MOUNTS" not in os.environ:
        os.environ["CUPEL_BENCH_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def works(argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={"PATH": "/usr/bin:/bin:/usr/sbin", "HOME": "/root"}, timeout=20)
        return done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def line(name, kind, root, argv):
    return "\t".join([name, kind, str(root), *argv])


def drive(mode, first, second, contenders, realtime=False):
    command = [str(DRIVER), mode, str(first), str(second)]
    if realtime and shutil.which("chrt"):
        command = ["chrt", "-f", "20", *command]
    done = subprocess.run(command, input="\n".join(contenders) + "\n", text=True, check=False,
                          capture_output=True, env={"CUPEL_SANDBOX": str(SUPERVISOR)})
    if done.returncode:
        sys.exit(f"bench_sandbox: {done.stderr.strip()}")
    return [row.split("\t") for row in done.stdout.splitlines()]


def latency_table(title, rows, baseline="bare"):
    base = next(float(r[2]) for r in rows if r[0] == baseline and r[1] == "done")
    out = [f"### {title}", "", "| contender | until | p50 us | p99 us | min us | p50 x bare |",
           "|---|---|---|---|---|---|"]
    seen = set()
    for name, what, p50, p99, low in rows:
        if (name, p50, p99) in seen:  # bare and peers: done is gone
            continue
        seen.add((name, p50, p99))
        out.append(f"| {name} | {what} | {p50} | {p99} | {low} | {float(p50) / base:.2f} |")
    return out + [""]


class GoJudge:
    """The closest peer in design: containers kept ready behind an HTTP server. Debian has no package;
    tests/slow/test_judges.py builds it where the Go proxy serves it."""

    def __init__(self, base, image):
        found = sorted((ROOT / "build/judges").glob("go-judge-*")) + [shutil.which("go-judge")]
        self.process = None
        if not found[0]:
            return
        folder = base / "go-judge"
        folder.mkdir()
        (folder / "mount.yaml").write_text(
            f"mount:\n  - {{type: bind, source: {image}/bin, target: /bin, readonly: true}}\n"
            "  - {type: tmpfs, target: /w, data: 'size=100m,nr_inodes=4k'}\n"
            "  - {type: tmpfs, target: /tmp, data: 'size=100m,nr_inodes=4k'}\n"
            "proc: true\nworkDir: /w\nhostName: judge\ndomainName: judge\nuid: 1536\ngid: 1536\n")
        self.process = subprocess.Popen(
            [found[0], "-http-addr", "127.0.0.1:5950", "-silent", "-pre-fork", "2"], cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.line = http.client.HTTPConnection("127.0.0.1", 5950, timeout=30)
        for _ in range(100):
            try:
                self.line.connect()
                return
            except OSError:
                time.sleep(0.1)

    def run(self, argv):
        files = [{"content": ""}, {"name": "stdout", "max": 1 << 16}, {"name": "stderr", "max": 1 << 16}]
        command = {"args": argv, "env": ["PATH=/bin"], "files": files, "cpuLimit": 10 ** 10,
                   "memoryLimit": 512 << 20, "procLimit": 64}
        self.line.request("POST", "/run", json.dumps({"cmd": [command]}),
                          {"Content-Type": "application/json"})
        result = json.loads(self.line.getresponse().read())[0]
        if result["status"] != "Accepted":
            raise OSError(f"go-judge: {result}")
        return result["files"]["stdout"]

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


def pooled_table(base, image, rounds):
    """From Python, so only these rows are comparable with each other."""
    judge = GoJudge(base, image)
    if not judge.process:
        return ["### go-judge", "", "Not obtainable here: build it with tests/slow/test_judges.py.", ""]
    socket = base / "pool.sock"
    pool = subprocess.Popen([SUPERVISOR, "pool", "--root", image, "--listen", socket, "--ready", "4",
                             "--may-lack", "apparmor"], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.1)

        def spawn(*argv):
            _, status = os.waitpid(os.posix_spawn(argv[0], [str(word) for word in argv], {}), 0)
            if status:
                raise OSError(f"{argv[0]}: status {status}")

        rows = {"bare": lambda: spawn(str(image / "bin/noop")),
                "go-judge, POST /run": lambda: judge.run(NOOP),
                "cupel-sandbox run --pool (hot; the client's start included)":
                    lambda: spawn(str(SUPERVISOR), "run", "--pool", socket, "--may-lack", "apparmor", *NOOP)}
        times = {name: [] for name in rows}
        for _ in range(rounds):
            for name, run in rows.items():
                time.sleep(0.01)
                start = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - start) * 1e6)
        bare = statistics.median(times["bare"])
        text = judge.run(["/bin/exposure"]).splitlines()
        return ["### Ready-made sandboxes, no-op, 10 ms gaps, driven from Python", "",
                "| contender | p50 us | p99 us | p50 x bare |", "|---|---|---|---|",
                *(f"| {name} | {statistics.median(values):.0f} | {sorted(values)[len(values) * 99 // 100]:.0f} "
                  f"| {statistics.median(values) / bare:.2f} |" for name, values in times.items()),
                "", f"Exposure probe in go-judge: {text[-1]}.", ""]
    finally:
        pool.terminate()
        pool.wait()
        judge.close()


CHAIN = 30


def kill_table(base, image, rounds):
    """From the order to die until nothing of a chain of processes is left."""
    words = ["/bin/hostile", "chain", str(CHAIN)]
    contenders = [line("cupel, sandbox_close()", "cold", image, words)]
    bubblewrap = peers(base, image, NOOP).get("bubblewrap")
    if bubblewrap:
        contenders.append(line("bubblewrap, SIGKILL with --die-with-parent", "bare", "-",
                               [*bubblewrap[:-1], *words]))
    return [f"### From kill to all dead, {CHAIN} processes that block every signal", "",
            "| contender | p50 us | p99 us | min us |", "|---|---|---|---|",
            *(f"| {name} | {p50} | {p99} | {low} |"
              for name, _, p50, p99, low in drive("kill", rounds, 0, contenders, realtime=True)), ""]


def exposure_table(base, image):
    rows = {"cupel": [str(SUPERVISOR), "run", "--root", str(image), "/bin/exposure"]}
    rows.update(peers(base, image, ["/bin/exposure"]))
    out = ["### Exposure", "", "| contender | probes through | which |", "|---|---|---|"]
    for name, argv in rows.items():
        text = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False).stdout.splitlines()
        names = [t.split()[1] for t in text if t.startswith("through ")]
        which = ", ".join(names) if len(names) < 12 else f"{', '.join(names[:12])}, ..."
        out.append(f"| {name} | {text[-1] if text else 'failed'} | {which} |")
    return out + [""]


def memory_of_hot_slot(image):
    """Kilobytes of memory that one ready slot costs, by difference over many."""
    count = 40
    before = available()
    worker = subprocess.Popen(
        [str(DRIVER), "hold", str(count), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={"CUPEL_SANDBOX": str(SUPERVISOR)})
    worker.stdin.write(line("hold", "hot", image, NOOP) + "\n")
    worker.stdin.close()
    worker.stdout.readline()
    time.sleep(0.5)
    rss = [int(row.split()[1]) for pid in children(worker.pid)
           for row in open(f"/proc/{pid}/status") if row.startswith("VmRSS")]
    pss = [int(row.split()[1]) for pid in children(worker.pid)
           for row in open(f"/proc/{pid}/smaps_rollup") if row.startswith("Pss:")]
    after = available()
    worker.terminate()
    worker.wait()
    return (before - after) / count, max(rss, default=0), max(pss, default=0)


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def available():
    for row in open("/proc/meminfo"):
        if row.startswith("MemAvailable"):
            return int(row.split()[1])
    return 0


def main():
    in_own_mounts()
    rounds, gap_rounds = (60, 10) if QUICK else (400, 40)
    base = pathlib.Path(tempfile.mkdtemp(prefix="cupel-bench-"))
    image = make_image(base)
    python_root = find_python_image(base)
    out = ["# Sandbox benchmarks", "",
           f"Command: `bench/sandbox.py {'--quick' if QUICK else ''}`; "
           f"{time.strftime('%Y-%m-%d')}; Linux {platform.release()}; "
           f"{os.cpu_count()} processors; load {os.getloadavg()[0]:.1f} at the start.", ""]
    try:
        ours = [line("bare", "bare", "-", [str(image / "bin/noop")]),
                line("cupel cold", "cold", image, NOOP),
                line("cupel cold, traced", "cold", image, NOOP),
                line("cupel warm", "warm", image, NOOP),
                line("cupel hot", "hot", image, NOOP),
                line("cupel hot, traced", "hot", image, NOOP),
                line("cupel-sandbox run", "bare", "-",
                     [str(SUPERVISOR), "run", "--root", str(image), *NOOP]),
                # Follows the command's start and end: as unknown to the caches as what a new sandbox runs.
                line("bare, caches cold", "bare-once", "-", [str(image / "bin/noop")])]
        others = [line(name, "bare", "-", argv)
                  for name, argv in peers(base, image, NOOP).items()]
        out += latency_table("No-op, tight loop, real-time class",
                             drive("latency", rounds, 0, ours, realtime=True))
        out += latency_table("No-op, 100 ms gaps, real-time class",
                             drive("latency", gap_rounds, 100, ours, realtime=True))
        out += latency_table("No-op with peers, tight loop",
                             drive("latency", rounds // 4, 0, ours + others))
        out += latency_table("No-op with peers, 100 ms gaps",
                             drive("latency", gap_rounds // 2, 100, ours + others))
        if python_root:
            argv = ["/usr/bin/python3", "-c", "print(1)"]
            snakes = [line("bare", "bare", "-", ["/usr/sbin/chroot", str(python_root), *argv]),
                      line("cupel cold", "cold", python_root, argv),
                      line("cupel hot", "hot", python_root, argv),
                      line("cupel parked", "parked-python", python_root, argv),
                      line("cupel zygote", "zygote", python_root, argv)]
            out += latency_table("python3 -c 'print(1)', tight loop, real-time class",
                                 drive("latency", rounds // 5, 0, snakes, realtime=True))
            out += latency_table("python3 -c 'print(1)', 100 ms gaps, real-time class",
                                 drive("latency", gap_rounds // 2, 100, snakes, realtime=True))
        node_root = make_node_image(base)
        if node_root:
            argv = ["/usr/bin/node", "-e", "console.log(1)"]
            nodes = [line("bare", "bare", "-", [str(node_root) + argv[0], *argv[1:]]),
                     line("cupel cold", "cold", node_root, argv),
                     line("cupel parked", "parked-node", node_root, argv)]
            # Not in the real-time class: there node's own threads never get between its first one's work.
            out += latency_table("node -e 'console.log(1)', tight loop",
                                 drive("latency", rounds // 10, 0, nodes))
        out += ["### Throughput, no-op, runs per second (hot includes building its sandbox)", "",
                "| contender | 1 worker | 2 | 8 |", "|---|---|---|---|"]
        seconds = 1 if QUICK else 3
        columns = [dict(drive("throughput", seconds, workers, [ours[0], ours[1], ours[3], ours[4]] + others))
                   for workers in (1, 2, 8)]
        out += [f"| {name} | {' | '.join(column[name] for column in columns)} |"
                for name in columns[0]] + [""]
        if python_root:
            out += ["### Throughput, python3 -c 'print(1)', runs per second", "",
                    "| contender | 1 worker | 2 | 8 |", "|---|---|---|---|"]
            columns = [dict(drive("throughput", seconds, workers, [snakes[0], snakes[-1]]))
                       for workers in (1, 2, 8)]
            out += [f"| {name} | {' | '.join(column[name] for column in columns)} |"
                    for name in columns[0]] + [""]
        out += compile_table(base, 3 if QUICK else 25)
        out += kill_table(base, image, 20 if QUICK else 200)
        out += pooled_table(base, image, 20 if QUICK else 200)
        out += exposure_table(base, image)
        cost, rss, pss = memory_of_hot_slot(image)
        out += ["### Memory", "", f"One ready hot sandbox: {cost:.0f} KiB less available memory (only on a quiet "
                f"machine); its supervisor: {rss} KiB RSS, {pss} KiB PSS.", ""]
    finally:
        for group in filter(pathlib.Path.is_dir, NSJAIL_GROUPS):
            group.rmdir()
        if python_root:
            subprocess.run(["umount", python_root], check=False)
        shutil.rmtree(base, ignore_errors=True)
    text = "\n".join(out)
    (BUILD / "bench/sandbox.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
