"""How an operator meets cced: settings and their precedence, tokens and roles, TLS, bad starts, fairness."""
import hashlib
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from service import CCED, Service, children_of, our_processes, program, script, unsanitized  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")


def run_cced(*flags, env=None, **more):
    return subprocess.run([CCED, *flags], capture_output=True, text=True, timeout=30,
                          env={"PATH": os.environ["PATH"], **(env or {})}, **more)


def test_help_and_version():
    help_text = run_cced("--help")
    assert help_text.returncode == 0 and "Example:" in help_text.stdout
    for name in ("--port", "--state-dir", "--queue-max", "--tls", "CUPEL_", "Precedence"):
        assert name in help_text.stdout
    assert run_cced("--version").stdout.startswith("cced ")


@pytest.mark.parametrize("flags,env,text", [
    (["--nonsense"], {}, "unknown option"),
    (["--port", "65536"], {}, "setting port"),
    (["--port", "x"], {}, "setting port"),
    (["extra"], {}, "unexpected argument"),
    (["--log-level", "loud"], {}, "log level"),
    ([], {"CUPEL_QUEUE_MAX": "-1"}, "setting queue-max"),
    (["--config", "/nonexistent.json"], {}, "/nonexistent.json"),
])
def test_bad_settings_are_named(tmp_path, flags, env, text):
    done = run_cced("--state-dir", str(tmp_path), *flags, env=env)
    assert done.returncode == 1
    assert text in json.loads(done.stderr.splitlines()[-1])["error"]


def test_bad_files(tmp_path):
    file = tmp_path / "config.json"
    for content, text in (("{", "JSON"), ("[]", "object"), ('{"nope": 1}', "unknown setting"),
                          ('{"port": "7"}', "setting port"), ('{"port": 70000}', "setting port")):
        file.write_text(content)
        done = run_cced("--config", str(file))
        assert done.returncode == 1 and text in done.stderr, (content, done.stderr)


@pytest.mark.parametrize("closed", [(0,), (1, 2), (0, 1, 2)])
def test_closed_standard_descriptors(tmp_path, closed):
    done = run_cced("--help", preexec_fn=lambda: [os.close(fd) for fd in closed])
    assert done.returncode == 0
    cced = subprocess.Popen([CCED, "--port", "0", "--state-dir", tmp_path],
                            preexec_fn=lambda: [os.close(fd) for fd in closed])
    while not (tmp_path / "url").exists():
        assert cced.poll() is None
        time.sleep(0.01)
    links = [os.readlink(f"/proc/{cced.pid}/fd/{fd}") for fd in closed]
    cced.terminate()
    assert cced.wait(30) == 0 and links == ["/dev/null"] * len(closed)


def test_precedence(tmp_path):
    """flag > environment > file > default, seen at the limit of the queue."""
    file = tmp_path / "config.json"
    file.write_text('{"dataset-max-mb": 3, "json-max-mb": 3}')

    def limit_mb(*flags, env=None):
        service = Service("--config", str(file), *flags, environment=env)
        try:
            for megabytes in (1, 2, 3):
                status, _ = service.execute(script("print(1)", data={
                    "data": "x" * ((megabytes << 20) - 4096)}))
                if status == 413:
                    return megabytes - 1
            return 3
        finally:
            service.close()
    assert limit_mb() == 3
    assert limit_mb(env={"CUPEL_DATASET_MAX_MB": "2"}) == 2
    assert limit_mb("--dataset-max-mb", "1", env={"CUPEL_DATASET_MAX_MB": "2"}) == 1


def test_one_service_per_state_directory():
    service = Service()
    try:
        second = run_cced("--port", "0", "--state-dir", str(service.state))
        assert second.returncode == 1 and "another cced" in second.stderr
        port = run_cced("--port", str(service.port), "--state-dir", str(service.state) + "-other")
        assert port.returncode == 1 and "cannot listen" in port.stderr
    finally:
        service.close()
        subprocess.run(["rm", "-rf", str(service.state) + "-other"], check=True)


def test_missing_image_says_how_to_build_it(tmp_path):
    done = run_cced("--port", "0", "--state-dir", str(tmp_path), "--image", "0" * 64)
    assert done.returncode == 1 and "image" in done.stderr


def tokens_file(state, *rows):
    (state / "tokens.json").write_text(json.dumps([
        {"principal": name, "roles": roles, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        for name, roles, token in rows]))


def test_roles_and_ownership(tmp_path):
    tokens_file(tmp_path, ("alice", ["submit"], "a"), ("bob", ["submit", "read"], "b"),
                ("carol", ["read"], "c"), ("root", ["admin"], "r"))
    (tmp_path / "token").write_text("r")
    service = Service(state=tmp_path)
    try:
        body = json.dumps(script("print(1)"))
        headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
        status, _, data = service.call("POST", "/execute", body, headers=headers, token="a")
        assert status == 202
        job = json.loads(data)["job_url"]
        assert service.call("POST", "/execute", body, headers=headers, token="c")[0] == 403
        assert service.call("GET", "/certificates", token="a")[0] == 403
        assert service.call("GET", "/certificates", token="c")[0] == 200
        assert service.call("GET", job, token="a")[0] == 200
        assert service.call("GET", job, token="b")[0] == 404
        assert service.call("DELETE", job, token="b")[0] == 404
        assert service.call("GET", job, token="r")[0] == 200
    finally:
        service.stop()
    service = Service(state=tmp_path)  # which has it on disk only
    try:
        assert service.call("GET", job, token="a")[0] == 200
        assert service.call("DELETE", job, token="a")[0] == 409
        assert service.call("DELETE", job, token="b")[0] == 404
    finally:
        service.stop()


@unsanitized
def test_replies_are_kept_for_everybody(tmp_path):
    """Of one principal at most three quarters of 256 MiB, at once and not at the next sweep."""
    tokens_file(tmp_path, ("alice", ["submit"], "a"), ("bob", ["submit"], "b"))
    (tmp_path / "token").write_text("a")
    service = Service("--queue-max", "200", state=tmp_path)

    def submit(code, token):
        request = script(code, environment={"max_output_kb": 10240})
        status, _, data = service.call("POST", "/execute", json.dumps(request), token=token,
                                       headers={"Content-Type": "application/json", "Prefer": "respond-async"})
        assert status == 202
        return json.loads(data)["job_url"]

    def reply(url, token):
        return service.json("GET", url, token=token)[1]["reply"]
    try:
        small = [submit(f"print({number})", "b") for number in range(100)]
        assert service.wait_idle(60)
        large = [submit("import sys\nfor f in sys.stdout, sys.stderr: f.write('x' * (10 << 20))", "a")
                 for _ in range(12)]
        assert service.wait_idle(120)
        assert [reply(url, "b")["result"]["output"] for url in small] == [f"{n}\n" for n in range(100)]
        kept = [len(reply(url, "a")["result"]["output"]) if reply(url, "a") else 0 for url in large]
        assert kept == [0] * 3 + [10 << 20] * 9
        assert service.rss_kib() < 400 << 10
    finally:
        service.stop()


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"principal": "x"}]', "[",
                                     '[{"principal":"x","roles":["king"],"sha256":"' + "0" * 64 + '"}]'])
def test_bad_token_files(tmp_path, content):
    (tmp_path / "tokens.json").write_text(content)
    done = run_cced("--port", "0", "--state-dir", str(tmp_path))
    assert done.returncode == 1 and "tokens.json" in done.stderr


def test_tls():
    service = Service("--tls")
    try:
        assert service.url.startswith("https://")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", service.port, context=context)
        connection.request("POST", "/execute", json.dumps(script("print('tls')")), {
            "Content-Type": "application/json", "Authorization": f"Bearer {service.token}"})
        reply = json.loads(connection.getresponse().read())
        assert reply["result"]["output"] == "tls\n"
        assert reply["certificate_url"].startswith("https://")
    finally:
        service.stop()


def test_two_principals_share(tmp_path):
    """One who floods the queue does not keep the other out: served in turn."""
    tokens_file(tmp_path, ("flood", ["submit"], "f"), ("quiet", ["submit"], "q"))
    (tmp_path / "token").write_text("f")
    service = Service("--concurrency", "1", state=tmp_path)
    order, lock = [], threading.Lock()

    def submit(token):
        status, _, _ = service.call(
            "POST", "/execute", json.dumps(script("import time; time.sleep(0.1)")),
            headers={"Content-Type": "application/json"}, token=token)
        with lock:
            order.append((token, status))
    try:
        threads = [threading.Thread(target=submit, args=("f",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        late = threading.Thread(target=submit, args=("q",))
        late.start()
        for thread in [*threads, late]:
            thread.join()
        assert all(status == 200 for _, status in order)
        assert [token for token, _ in order].index("q") <= 4, order
    finally:
        service.stop()


def test_no_principal_takes_all_places(tmp_path):
    """A quarter of the places is out of reach for any one principal."""
    tokens_file(tmp_path, ("greedy", ["submit"], "g"), ("other", ["submit"], "o"))
    (tmp_path / "token").write_text("g")
    service = Service("--concurrency", "1", "--queue-max", "7", state=tmp_path)
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    body = json.dumps(script("import time; time.sleep(3)"))
    try:
        statuses = [service.call("POST", "/execute", body, headers=headers, token="g")[0]
                    for _ in range(9)]
        assert statuses == [202] * 6 + [429] * 3
        others = [service.call("POST", "/execute", body, headers=headers, token="o")[0]
                  for _ in range(3)]
        assert others == [202, 202, 429]
    finally:
        service.stop(9)


def play_tsm(tree, sim_dir, stop):
    """A configfs-tsm entry whose kernel is tee-sim: real quotes, but under a simulated root."""
    generation, last = 0, None
    while not stop.is_set():
        data = (tree / "inblob").read_bytes()
        stamp = (tree / "inblob").stat().st_mtime_ns
        if len(data) == 64 and stamp != last:
            last, generation = stamp, generation + 1
            quote = subprocess.run([program("tee-sim"), "quote", "--dir", sim_dir, "--report-data",
                                    data.hex()], stdout=subprocess.PIPE, check=True).stdout
            for name, content in (("outblob", quote), ("generation", f"{generation}\n".encode())):
                (tree / (name + ".new")).write_bytes(content)
                (tree / (name + ".new")).rename(tree / name)
        time.sleep(0.002)


def test_hardware_platform_by_configfs(tmp_path):
    """The hardware path end to end; a quote whose root is simulated must not pass as hardware."""
    sim, tree = tmp_path / "sim", tmp_path / "tsm"
    subprocess.run([program("tee-sim"), "init", sim], check=True)
    tree.mkdir()
    for name, content in (("inblob", b""), ("outblob", b""), ("generation", b"0\n"),
                          ("provider", b"tdx_guest\n")):
        (tree / name).write_bytes(content)
    stop = threading.Event()
    player = threading.Thread(target=play_tsm, args=(tree, sim, stop))
    player.start()
    service = Service("--platform", "configfs-tsm", "--evidence-path", str(tree),
                      "--collateral-dir", str(sim / "collateral"))
    try:
        names = set(our_processes().values())
        assert "tee-sim" not in names - {"tee-sim (deleted)"}  # a hardware service starts no simulator
        status, reply = service.execute(script("print('quoted')"))
        assert status == 200 and reply["result"]["output"] == "quoted\n", reply
        tee = reply["proof"]["tee_attestation"]["tee"]
        assert (tee["mode"], tee["assurance"], tee["provider"]) == ("tdx", "hardware", "configfs-tsm")
        checks = service.json("GET", f"/certificate/{reply['certificate_id']}/verify", token=False)[1]
        results = {row["name"]: row["result"] for row in checks["checks"]}
        assert results["signature"] == results["binding"] == "pass"
        assert results["quote"] == "fail" and checks["verdict"] == "failed", checks
        found = service.json("GET", "/certificates?verdict=failed")[1]["certificates"]
        assert [row["certificate_id"] for row in found] == [reply["certificate_id"]]
        assert service.json("GET", "/keys", token=False)[1]["simulated_anchor"] is None
    finally:
        service.close()
        stop.set()
        player.join()


def test_unknown_platform_is_refused(tmp_path):
    done = run_cced("--port", "0", "--state-dir", str(tmp_path), "--platform", "magic")
    assert done.returncode == 1 and "platform" in done.stderr


# Numbers of linux/capability.h: what each process may keep. SECURITY.md says what for.
SANDBOX_RIGHTS = {0, 1, 3, 5, 6, 7, 18, 19, 21, 23, 27}
IPC_LOCK, NET_BIND_SERVICE = 14, 10
RIGHTS = {"cced": SANDBOX_RIGHTS | {IPC_LOCK}, "tee-agent": SANDBOX_RIGHTS | {IPC_LOCK},
          "cupel-sandbox": SANDBOX_RIGHTS | {IPC_LOCK}, "cced-keys": set(), "tee-sim": set()}


def status_of(pid):
    try:
        lines = pathlib.Path("/proc", str(pid), "status").read_text().splitlines()
    except OSError:
        return {}  # ended
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def user_namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/user")
    except OSError:
        return None  # ended


def rights_in(status, name):
    return {i for i in range(64) if int(status[name], 16) >> i & 1}


def test_rights_are_really_given_up():
    """Every process of a service that has worked: capabilities, filter, no way back to either."""
    service = Service()
    try:
        assert service.execute(script("print(1)"))[0] == 200
        seen = set()
        for pid in [service.process.pid, *children_of(service.process.pid)]:
            name, space = our_processes().get(pid), user_namespace(pid)
            if name not in RIGHTS or space != user_namespace("self"):
                continue  # ended, or the rights it has are of a sandbox under construction
            status = status_of(pid)
            if user_namespace(pid) != space:
                continue
            seen.add(name)
            assert rights_in(status, "CapPrm") <= RIGHTS[name], (name, status["CapPrm"])
            assert rights_in(status, "CapEff") <= RIGHTS[name]
            assert rights_in(status, "CapAmb") == set() and rights_in(status, "CapInh") == set()
            assert rights_in(status, "CapBnd") <= RIGHTS["cced"] | {NET_BIND_SERVICE}
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", name
        assert seen >= {"cced", "tee-agent", "cced-keys", "tee-sim"}
    finally:
        service.close()
