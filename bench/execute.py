#!/usr/bin/python3
"""POST /execute against bare python3 in the same run: latency, gaps, throughput, verification, RSS.

    bench/execute.py [BUILD] [--rounds N]     prints a Markdown table (bench/RESULTS.md keeps it)
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))


def milliseconds(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def bare(code):
    pid = os.posix_spawn("/usr/bin/python3", ["python3", "-c", code], {}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("bare python3 failed")


class Client:
    """One kept connection; bytes in, bytes out, so that the client costs little."""

    def __init__(self, service):
        self.socket = socket.create_connection((service.host, service.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = (f"POST /execute HTTP/1.1\r\nHost: {service.host}\r\nContent-Type: application/json\r\n"
                     f"Authorization: Bearer {service.token}\r\nContent-Length: ")

    def execute(self, body):
        self.socket.sendall(f"{self.head}{len(body)}\r\n\r\n{body}".encode())
        reply, size = b"", None
        while size is None or len(reply) < size:
            part = self.socket.recv(1 << 20)
            if not part:
                raise RuntimeError("the connection ended")
            reply += part
            if size is None and b"\r\n\r\n" in reply:
                head, reply = reply.split(b"\r\n\r\n", 1)
                if not head.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(head + reply)
                size = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        return reply


def script_of_ms(wanted_ms):
    """A loop that takes so long by itself, here and now, without the interpreter's start."""
    loop = "t=0\nfor i in range({}): t+=i\n"
    timed = "from time import perf_counter as p\na=p()\n" + loop.format(200000) + "print((p()-a)*1e3)"
    took_ms = min(float(subprocess.run(["/usr/bin/python3", "-c", timed], stdout=subprocess.PIPE,
                                       check=True).stdout) for _ in range(30))
    return loop.format(int(200000 * wanted_ms / took_ms)) + "print(t)"


def summary(values):
    values = sorted(values)
    return statistics.median(values), values[int(len(values) * 0.99)]


def latency(client, body, code, rounds, gap_s):
    ours, theirs = [], []
    for _ in range(rounds):  # interleaved, so that both see the same machine
        theirs.append(milliseconds(lambda: bare(code)))
        time.sleep(gap_s)
        ours.append(milliseconds(lambda: client.execute(body)))
        time.sleep(gap_s)
    return summary(theirs), summary(ours)


def throughput(service, body, code, jobs):
    """Jobs per second with two workers, bare and ours; in turns, so that both see the same machine."""
    clients = [Client(service), Client(service)]
    turns, ours_ms, bare_ms = 8, 0, 0
    each = max(1, jobs // turns // 2)

    def repeat(function):
        for _ in range(each):
            function()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        def ours():
            return list(pool.map(lambda client: repeat(lambda: client.execute(body)), clients))

        for _ in range(turns):
            ours()  # sandboxes built ahead must not make it faster than it can go on,
            ours_ms += milliseconds(ours)
            time.sleep(0.5)  # nor those built afterwards make the other slower
            bare_ms += milliseconds(lambda: list(pool.map(
                lambda _: repeat(lambda: bare(code)), clients)))
    done = each * 2 * turns
    return done / bare_ms * 1e3, done / ours_ms * 1e3


def verification_us(service, build, certificate_id):
    """The pure function alone, measured by the bench program of the build."""
    program = build / "bench" / "bench_verify"
    if not program.exists():
        return None
    envelope = service.call("GET", f"/certificate/{certificate_id}/envelope", token=False)[2]
    root = service.state / "tee-sim" / "root.der"
    output = subprocess.run([program, root], input=envelope, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--soak", type=int, default=1000)
    args = parser.parse_args()
    os.environ["CUPEL_BUILD"] = str(pathlib.Path(args.build).resolve())
    from service import Service, script  # after CUPEL_BUILD
    service = Service()
    try:
        client = Client(service)
        body = json.dumps(script("print('hello')"))
        idle_kib = service.rss_kib()
        client.execute(body)
        print("| what | bare | POST /execute | difference or ratio |\n|---|---|---|---|")
        for name, gap in (("tight loop", 0.0), ("100 ms gaps", 0.1)):
            rounds = args.rounds if not gap else args.rounds // 3
            (bare50, bare99), (ours50, ours99) = latency(client, body, "print('hello')", rounds, gap)
            print(f"| small Python script, {name}, p50 | {bare50:.1f} ms | {ours50:.1f} ms "
                  f"| {ours50 - bare50:+.1f} ms |")
            print(f"| small Python script, {name}, p99 | {bare99:.1f} ms | {ours99:.1f} ms "
                  f"| {ours99 - bare99:+.1f} ms |")
        for wanted_ms, name in ((20, "Python script of 20 ms"), (10, "Python script of 10 ms")):
            work = script_of_ms(wanted_ms)
            bare_rate, our_rate = throughput(
                service, json.dumps(script(work)), work, args.rounds * 2)
            print(f"| {name} beside the interpreter's start, 2 workers | {bare_rate:.0f}/s "
                  f"| {our_rate:.0f}/s | {our_rate / bare_rate:.0%} |")
        certificate_id = json.loads(client.execute(body))["certificate_id"]
        times = verification_us(service, pathlib.Path(args.build), certificate_id)
        if times:
            print(f"| offline verification without / with quote | - "
                  f"| {times['without_quote_us']:.0f} us / {times['with_quote_us']:.0f} us | - |")
        before = service.rss_kib()
        for _ in range(args.soak):
            client.execute(body)
        print(f"| cced RSS idle / before / after {args.soak} runs | - "
              f"| {idle_kib} / {before} / {service.rss_kib()} KiB | {service.rss_kib() - before:+} KiB |")
    finally:
        service.close()


if __name__ == "__main__":
    main()
