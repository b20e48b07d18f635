"""A cced of one's own for a test: fresh state directory, free port, everything counted at the end."""
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build" / "release"))
PROGRAMS = BUILD / "src" / "programs"
CCED = PROGRAMS / "cced" / "cced"
# Limits of address space, signals that kill, memory that can be read: a sanitizer has its own.
unsanitized = pytest.mark.skipif("asan" in BUILD.name, reason="does not go together with ASan")
IMAGES = pathlib.Path(os.environ.get("CUPEL_STATE_DIR", "/var/lib/cupel")) / "images"


def program(name):
    return PROGRAMS / name / name


def children_of(pid):
    """Pids of all descendants, by walking /proc."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rsplit(")", 1)[1].split()[1])
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        mine = [p for p, parent in parents.items() if parent == current]
        found += mine
        todo += mine
    return found


def our_processes():
    """{pid: name} of every living process that runs a program of this build."""
    rows = {}
    for entry in os.listdir("/proc"):
        try:
            exe = os.readlink(f"/proc/{entry}/exe") if entry.isdigit() else ""
        except OSError:
            continue  # gone, a zombie, or a kernel thread
        if exe.startswith(str(PROGRAMS.resolve())):
            rows[int(entry)] = os.path.basename(exe)
    return rows


def is_alive(pid):
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds, seconds=10):
    """Whether a condition comes true; a loaded machine takes its time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Service:
    def __init__(self, *flags, state=None, environment=None):
        self.state = pathlib.Path(state or tempfile.mkdtemp(prefix="cupel-test-"))
        self.flags, self.environment = flags, environment or {}
        self.log_path = self.state / "log"
        self.start()

    def start(self):
        (self.state / "url").unlink(missing_ok=True)
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [CCED, "--port", "0", "--state-dir", str(self.state), *self.flags], stderr=self.log,
            env={"PATH": os.environ["PATH"], **self.environment})
        deadline = time.monotonic() + 20
        while not (self.state / "url").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"cced did not start:\n{self.log_text()}")
            time.sleep(0.01)
        self.url = (self.state / "url").read_text()
        self.host, port = self.url.split("://")[1].rsplit(":", 1)
        self.port = int(port)
        self.token = (self.state / "token").read_text()

    def log_text(self):
        return self.log_path.read_text()

    def connect(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, token=True, timeout=60):
        """(status, headers, bytes)"""
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {self.token if token is True else token}")
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, **more):
        status, _, data = self.call(method, path, body, **more)
        return status, json.loads(data)

    def execute(self, request, headers=None, **more):
        data = request if isinstance(request, (bytes, str)) else json.dumps(request)
        return self.json("POST", "/execute", data,
                         headers={"Content-Type": "application/json", **(headers or {})}, **more)

    def metric(self, name):
        text = self.call("GET", "/metrics", token=False)[2].decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])

    def wait_idle(self, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.metric("cupel_jobs_active") == 0:
                return True
            time.sleep(0.05)
        return False

    def rss_kib(self):
        for line in pathlib.Path("/proc", str(self.process.pid), "status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=40)
        self.log.close()
        return code

    def close(self):
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)


def script(text, tools=("python",), name="main.py", data=None, **sandbox):
    """A request with one script."""
    request = {"sandbox": {"tools": list(tools), "scripts": {name: text}, **sandbox}}
    if data is not None:
        request["dataset"] = data if isinstance(data, dict) else {
            "data": "base64:" + base64.b64encode(data).decode(), "format": "txt"}
    return request
