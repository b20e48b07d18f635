"""Long runs against a real service: what grows, what stays, what starves.

CUPEL_SOAK_RUNS (default 1,000) executions in a row, 10,000 idle connections, slow clients, and
processes killed at random.
"""
import os
import pathlib
import random
import resource
import socket
import statistics
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))
import service as svc  # noqa: E402
import soak  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")
RUNS = int(os.environ.get("CUPEL_SOAK_RUNS", "1000"))
CONNECTIONS = 10000


@pytest.fixture
def cupel():
    service = svc.Service()
    yield service
    service.close()


def warm_up(service):
    """So that what is kept ready for the shapes of these jobs is there before it is counted."""
    soak.sequential(service, 8)
    for _ in range(2):
        assert service.execute(svc.script("print(1)"))[0] == 200


def test_executions_leave_nothing(cupel):
    soak.sequential(cupel, 40)
    before, rss = soak.settle(cupel), [cupel.rss_kib()]
    began = time.monotonic()
    for _ in range(10):
        soak.sequential(cupel, RUNS // 10)
        rss.append(cupel.rss_kib())
    seconds = time.monotonic() - began
    after = soak.settle(cupel, before)
    print(f"\n{RUNS} executions in {seconds:.0f} s; RSS in KiB after each tenth: {rss}; held: {after}")
    assert after == before
    assert max(rss[1:]) - rss[0] < 2048


def open_idle(service, count):
    """count connections; every second one has begun a request."""
    held = []
    for i in range(count):
        sock = socket.socket()
        sock.bind((f"127.0.0.{2 + i % 8}", 0))
        sock.connect((service.host, service.port))
        if i % 2:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        held.append(sock)
    return held


def timed(call):
    began = time.monotonic()
    result = call()
    return time.monotonic() - began, result


def test_ten_thousand_idle_connections(cupel):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 1000:
        pytest.skip(f"needs RLIMIT_NOFILE of {CONNECTIONS + 1000}, this machine gives {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    warm_up(cupel)
    before = soak.settle(cupel)
    held = open_idle(cupel, CONNECTIONS)
    try:
        health = [timed(lambda: cupel.call("GET", "/healthz", token=False)[0]) for _ in range(100)]
        jobs = [timed(lambda: cupel.execute(svc.script("print(1)"))[1]["status"])
                for _ in range(20)]
        rss = cupel.rss_kib() / 1024
        assert {status for _, status in health} == {200}
        assert {status for _, status in jobs} == {"completed"}
    finally:
        for sock in held:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"\nwith {CONNECTIONS} connections: RSS {rss:.0f} MiB, health median "
          f"{statistics.median(s for s, _ in health) * 1e3:.1f} ms, job median "
          f"{statistics.median(s for s, _ in jobs) * 1e3:.0f} ms")
    assert rss < 150
    assert statistics.median(s for s, _ in health) < 0.1
    assert soak.settle(cupel, before) == before


class SlowClient(threading.Thread):
    """Sends one byte every half second, of a head or of a body, until the server has enough."""

    def __init__(self, service, has_head):
        super().__init__(daemon=True)
        self.service, self.has_head, self.seconds, self.answer = service, has_head, None, b""
        self.start()

    def run(self):
        began = time.monotonic()
        head = (f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.service.token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n").encode()
        with socket.create_connection((self.service.host, self.service.port)) as sock:
            try:
                if self.has_head:
                    sock.sendall(head)
                for i in range(240):
                    sock.sendall(b" " if self.has_head else head[i:i + 1])
                    sock.settimeout(0.5)
                    try:
                        self.answer = sock.recv(4096)
                        break
                    except TimeoutError:
                        pass
            except OSError:
                pass
        self.seconds = time.monotonic() - began


def test_slow_clients(cupel):
    warm_up(cupel)
    before = soak.settle(cupel)
    clients = [SlowClient(cupel, has_head=i % 2 == 1) for i in range(200)]
    time.sleep(3)
    worst = 0
    while any(client.is_alive() for client in clients):
        seconds, (status, _, _) = timed(lambda: cupel.call("GET", "/healthz", token=False))
        assert status == 200
        worst = max(worst, seconds)
        time.sleep(0.5)
    for client in clients:
        client.join()
    heads = [c.seconds for c in clients if not c.has_head]
    bodies = [c.seconds for c in clients if c.has_head]
    print(f"\nslow heads ended after {max(heads):.0f} s, slow bodies after {max(bodies):.0f} s, "
          f"worst health answer {worst * 1e3:.0f} ms")
    assert max(heads) < 60 and max(bodies) < 110, "the server never had enough"
    assert worst < 2
    assert cupel.execute(svc.script("print('alive')"))[1]["result"]["output"] == "alive\n"
    assert soak.settle(cupel, before) == before


def test_slow_uploads_do_not_starve_jobs(cupel):
    """Bodies that trickle hold their places; a job beside them still runs."""
    clients = [SlowClient(cupel, has_head=True) for _ in range(16)]
    time.sleep(2)
    seconds, (status, reply) = timed(lambda: cupel.execute(svc.script("print('beside')"), timeout=120))
    print(f"\na job beside {len(clients)} slow uploads: {status} after {seconds:.2f} s")
    assert status == 200 and reply["result"]["output"] == "beside\n"
    assert seconds < 30
    for client in clients:
        client.join(120)


def test_kill_nine_storm():
    seed = int(os.environ.get("CUPEL_SEED", "0")) or random.SystemRandom().randrange(1 << 31)
    service = svc.Service()
    try:
        began = time.monotonic()
        victims, accepted = soak.storm(service, kills=30, seed=seed)
        ends = soak.certified(service, accepted)
        print(f"\nseed {seed}: killed {dict(victims)} in {time.monotonic() - began:.0f} s; "
              f"{len(ends)} accepted jobs, ends {dict(soak.collections.Counter(ends.values()))}")
        assert len(ends) == len(set(accepted)) >= 10
        assert service.execute(svc.script("print('alive')"))[1]["result"]["output"] == "alive\n"
        family = soak.family(service)
        state = str(service.state)
    finally:
        service.close()
    time.sleep(0.5)
    assert not [pid for pid in family if svc.is_alive(pid)]
    assert state not in pathlib.Path("/proc/self/mountinfo").read_text()
    deadline = time.monotonic() + 20
    while soak.groups() and time.monotonic() < deadline:  # of other services on this machine
        time.sleep(0.2)
    assert not soak.groups()
