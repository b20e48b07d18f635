"""What a service holds, counted from outside, and how to put it under load. Used by test_soak.py
here (short) and in tests/slow (long)."""
import collections
import json
import os
import pathlib
import random
import signal
import threading
import time

import service as svc


def family(service):
    """{pid: name}: the service and everything it started, also what no longer is its child."""
    mounts = os.readlink(f"/proc/{service.process.pid}/ns/mnt")
    rows = {service.process.pid: "cced"}
    for pid in svc.children_of(service.process.pid):
        rows[pid] = name_of(pid)
    for pid, name in svc.our_processes().items():
        try:
            state = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            same = os.readlink(f"/proc/{pid}/ns/mnt") == mounts
        except OSError:
            continue
        if same or str(service.state).encode() in state:
            rows[pid] = name
    return rows


def name_of(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return "?"


def fds_of(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def groups():
    """Control groups of sandboxes whose supervisor is no more."""
    root = pathlib.Path("/sys/fs/cgroup")
    places = [*root.glob("cupel/s*"), *root.glob("*/cupel/s*")]
    return {str(path) for path in places if not svc.is_alive(int(path.name[1:]))}


def holdings(service):
    """A row that must be equal before and after any number of runs."""
    rows = collections.Counter(name_of(p) for p in svc.our_processes())
    return {
        "processes": dict(rows),
        "descriptors": fds_of(service.process.pid),
        "mounts": len(pathlib.Path(f"/proc/{service.process.pid}/mountinfo").read_text().splitlines()),
        "stale groups": len(groups()),
    }


def settle(service, wanted=None, seconds=30):
    """Holdings once they are `wanted`, or once they stay the same for a second."""
    deadline = time.monotonic() + seconds
    service.wait_idle()
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        now = holdings(service)
        if now != last:
            last, since = now, time.monotonic()
        if now == wanted or (wanted is None and time.monotonic() - since > 1):
            return now
        time.sleep(0.05)
    return last


CODES = (  # every kind of end
    "print(open('/data/dataset.txt').read())",
    "import subprocess\nprint(subprocess.run(['true']).returncode)",
    "import sys; sys.exit(3)",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(60)",
    "open('/tmp/x', 'wb').write(b'x' * 100000)",
    "print('x' * 100000)",
    "import os; os.abort()",
    "x = bytearray(64 << 20)",
)


def one_request(i):
    return svc.script(CODES[i % len(CODES)], data=b"%d" % i, tools=("python", "true"),
                      environment={"timeout_seconds": 20, "max_memory_mb": 48, "max_output_kb": 64})


def sequential(service, count):
    """count executions one after another; their statuses."""
    seen = collections.Counter()
    for i in range(count):
        status, reply = service.execute(one_request(i))
        assert status == 200, reply
        seen[reply["status"]] += 1
    return seen


class Load(threading.Thread):
    """Submits jobs without pause, survives a dead service, remembers every accepted job."""

    def __init__(self, service, number):
        super().__init__(daemon=True)
        self.service, self.number, self.accepted, self.refused = service, number, [], 0
        self.is_over = threading.Event()
        self.start()

    def run(self):
        i = self.number
        while not self.is_over.is_set():
            try:
                status, _, body = self.service.call(
                    "POST", "/execute", json.dumps(one_request(i)), timeout=10,
                    headers={"Content-Type": "application/json", "Prefer": "respond-async"})
            except (OSError, svc.http.client.HTTPException):
                time.sleep(0.05)
                continue
            i += 1
            if status == 202:
                self.accepted.append(json.loads(body)["job_id"])
                time.sleep(0.05)
            else:
                self.refused += 1
                time.sleep(0.1)

    def end(self):
        self.is_over.set()
        self.join(30)
        return self.accepted


def storm(service, kills, seed, pause=0.4):
    """Kill -9 random processes of the service under load, itself included.

    Restarts it when it is gone or lost a process it cannot do without. Returns (victims, accepted
    job ids); ends with a service that lives.
    """
    choice = random.Random(seed)
    loads = [Load(service, number) for number in range(3)]
    victims = collections.Counter()
    for _ in range(kills):
        time.sleep(choice.uniform(0.5, 1.5) * pause)
        rows = family(service)
        name = choice.choice(sorted(set(rows.values()) - {"?"}))
        pid = choice.choice([p for p, n in rows.items() if n == name])
        victims[name] += 1
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        if name in ("cced", "cced-keys", "tee-sim"):
            time.sleep(0.1)
            service.stop(signal.SIGKILL)
            service.start()
    accepted = [job for load in loads for job in load.end()]
    return victims, accepted


def certified(service, jobs, seconds=120):
    """{job: status in its certificate} for jobs; fails when one has none in time."""
    deadline, rows, todo = time.monotonic() + seconds, {}, list(jobs)
    while todo:
        assert time.monotonic() < deadline, f"{len(todo)} jobs without an end: {todo[:3]}"
        rest = []
        for job in todo:
            status, body = service.json("GET", f"/jobs/{job}")
            assert status == 200, (job, body)
            if not body.get("certificate_id"):
                rest.append(job)
                continue
            certificate = service.json("GET", f"/certificate/{body['certificate_id']}", token=False)[1]
            assert certificate["verdict"] == "simulated", certificate["verdict"]
            rows[job] = certificate["statement"]["predicate"]["outcome"]["status"]
        todo = rest
        time.sleep(0.1 if todo else 0)
    return rows
