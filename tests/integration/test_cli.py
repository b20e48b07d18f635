"""The cupel command: every verb's right use and each of its errors."""
import base64
import collections
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import pytest

import service as svc

CUPEL = svc.PROGRAMS / "cupel" / "cupel"
IMAGES = svc.IMAGES
needs_image = pytest.mark.skipif(os.geteuid() != 0 or not (IMAGES / "base").exists(),
                                 reason="needs root and a built image")
CLEAN = {"PATH": os.environ["PATH"]}


def cupel(*args, stdin=None, env=None, cwd=None, timeout=120):
    return subprocess.run([CUPEL, *map(str, args)], input=stdin, capture_output=True,
                          env={**CLEAN, **(env or {})}, cwd=cwd, timeout=timeout)


def text(process):
    return process.stdout.decode(), process.stderr.decode()


def commands():
    listing = cupel("--help").stdout.decode().split("Commands:\n")[1].split("\n\n")[0]
    return [re.match(r"  (\S+(?: \S+)?)  ", line).group(1).split() for line in listing.splitlines()]


@pytest.fixture(scope="module")
def state():
    folder = tempfile.mkdtemp(prefix="cupel-cli-")
    yield pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def served():
    service = svc.Service()
    yield service
    service.close()


# help and usage

@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_of_every_verb(words):
    process = cupel(*words, "--help")
    out, _ = text(process)
    assert process.returncode == 0
    assert out.startswith(f"Usage: cupel {' '.join(words)}")
    assert "\nExample: " in out and "\nExit codes: " in out


def test_the_whole_help_names_all_commands():
    names = [" ".join(words) for words in commands()]
    for name in ("serve", "execute", "run", "verify", "certificate get", "certificate search",
                 "image build", "image list", "image verify", "keys show", "doctor", "sandbox", "attest"):
        assert name in names


@pytest.mark.parametrize("word", ["job", "dataset", "review", "explore", "rent", "deploy", "log",
                                  "mcp", "--nonsense", "r\x01n"])
def test_unknown_commands(word):
    process = cupel(word)
    assert process.returncode == 2
    assert b"unknown command" in process.stderr and b"\x01" not in process.stderr


def test_no_command_shows_usage_on_stderr():
    process = cupel()
    assert process.returncode == 2 and process.stdout == b"" and b"Usage: cupel" in process.stderr
    assert cupel("--version").stdout.startswith(b"cupel ")
    group = cupel("image")
    assert group.returncode == 2 and b"cupel image list" in group.stderr


@pytest.mark.parametrize("args, message", [
    (["run"], "expected a script"),
    (["run", "python"], "or - for standard input"),
    (["run", "-"], "expected LANG before -"),
    (["run", "main.rb"], "expected .py or .sh, or LANG"),
    (["run", "python", "x.sh"], "not of python"),
    (["run", "x.py", "--nonsense"], "unknown option '--nonsense'"),
    (["run", "x.py", "-v"], "unknown option '-v'"),
    (["run", "x.py", "--timeout"], "expected SECONDS behind it"),
    (["run", "x.py", "--timeout", "0"], "--timeout"),
    (["run", "x.py", "--timeout", "301"], "--timeout"),
    (["run", "x.py", "--memory", "many"], "--memory"),
    (["run", "x.py", "--json=yes"], "--json takes no value"),
    (["execute"], "expected one file with the request"),
    (["execute", "a", "b"], "got 2 words"),
    (["verify"], "expected one certificate file"),
    (["certificate", "get", "nonsense"], "expected an id like cert_"),
    (["certificate", "search", "--limit", "0"], "--limit"),
    (["certificate", "search", "word"], "unexpected argument 'word'"),
    (["image", "list", "word"], "unexpected argument"),
    (["image", "verify"], "expected one image name"),
    (["image", "build", "word"], "unexpected argument"),
    (["keys", "show", "word"], "unexpected argument"),
    (["doctor", "--nonsense"], "unknown option"),
], ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")
def test_usage_errors(args, message, tmp_path):
    (tmp_path / "x.py").write_text("print(1)")
    (tmp_path / "x.sh").write_text("echo 1")
    process = cupel(*args, cwd=tmp_path)
    out, err = text(process)
    assert process.returncode == 2, err
    assert message in err and "--help" in err and out == ""


def test_errors_are_json_with_json():
    process = cupel("verify", "/nonexistent", "--json")
    assert process.returncode == 1 and process.stdout == b""
    assert json.loads(process.stderr)["error"]["code"] == "not-found"


# run

def run(state, *args, **more):
    return cupel("run", "--state-dir", state, *args, **more)


@needs_image
def test_run_python(state, tmp_path):
    (tmp_path / "count.py").write_text(
        "import os, sys, helper\n"
        "print(helper.double(len(open('/data/d.csv').read())), sys.argv[1:], os.environ['MODE'],\n"
        "      os.environ['KEY'], sys.stdin.read(), os.getcwd(), os.listdir('.'))\n"
        "print('to stderr', file=sys.stderr)\n")
    (tmp_path / "helper.py").write_text("def double(n): return 2 * n\n")
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    (tmp_path / "in").write_text("typed")
    process = run(state, "count.py", "helper.py", "--data", "d.csv", "--env", "MODE=fast",
                  "--secret-env", "KEY", "--stdin", "in", "--", "-x", "--json",
                  cwd=tmp_path, env={"KEY": "hunter2hunter2"})
    out, err = text(process)
    assert process.returncode == 0, err
    assert out == "16 ['-x', '--json'] fast hunter2hunter2 typed /work []\n"
    assert "to stderr\n" in err
    assert re.search(r"^cupel: cert_[a-z2-7]{26} simulated count.py.certificate.json$", err, re.M)
    envelope = (tmp_path / "count.py.certificate.json").read_text()
    statement = base64.b64decode(json.loads(envelope)["payload"]).decode()
    assert "hunter2" not in statement and '"MODE"' in statement and "fast" in statement
    assert len(json.loads(envelope)["signatures"]) == 2


@needs_image
def test_run_bash(state, tmp_path):
    (tmp_path / "hello.sh").write_text("echo \"$1\" | grep -c needle; exit 7\n")
    process = run(state, "hello.sh", "--tool", "grep", "--", "a needle", cwd=tmp_path)
    assert process.returncode == 7 and process.stdout == b"1\n", process.stderr
    process = run(state, "hello.sh", "--", "x", cwd=tmp_path)
    assert b"grep: command not found" in process.stderr and process.returncode == 7


@needs_image
def test_run_from_standard_input(state, tmp_path):
    process = run(state, "python", "-", stdin=b"print('from stdin')", cwd=tmp_path)
    assert process.returncode == 0 and process.stdout == b"from stdin\n"
    assert (tmp_path / "main.certificate.json").exists()


@needs_image
def test_run_language_gives_the_suffix(state, tmp_path):
    (tmp_path / "plain").write_text("print(__file__)")
    process = run(state, "python", "plain", "--certificate", "c.json", cwd=tmp_path)
    assert process.stdout == b"/app/plain.py\n" and (tmp_path / "c.json").exists()
    assert not (tmp_path / "plain.certificate.json").exists()


@needs_image
def test_run_binary_output_and_data(state, tmp_path):
    data = bytes(range(256)) * 5000 + b"\r\n--"
    (tmp_path / "d.bin").write_bytes(data)
    (tmp_path / "cat.py").write_text(
        "import sys; sys.stdout.buffer.write(open('/data/blob','rb').read()[-700:])")
    process = run(state, "cat.py", "--data", "blob=d.bin", cwd=tmp_path)
    assert process.returncode == 0 and process.stdout == data[-700:]


@needs_image
def test_run_data_and_script_from_pipes(state, tmp_path):
    (tmp_path / "cat.py").write_text("print(open('/data/x').read(), end='')")
    command = f"{CUPEL} run --state-dir {state} --data x=<(sleep 0.5; echo late) cat.py && " \
              f"{CUPEL} run --state-dir {state} python <(echo 'print(4)')"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True)
    assert done.stdout == b"late\n4\n", done.stderr
    assert (tmp_path / "main.certificate.json").exists()


@needs_image
def test_run_notices_a_full_disk(state, tmp_path):
    (tmp_path / "p.py").write_text("print('x')")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CUPEL, "run", "--state-dir", state, "p.py"], cwd=tmp_path, stdout=full,
                              stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"standard output" in done.stderr
    assert (tmp_path / "p.py.certificate.json").exists()
    done = subprocess.run(["bash", "-c", f"{CUPEL} run --state-dir {state} p.py | true; exit $PIPESTATUS"],
                          cwd=tmp_path)
    assert done.returncode == 0  # who left wanted no more
    with open("/dev/full", "wb") as full:  # one full stream takes nothing from the other
        done = subprocess.run([CUPEL, "run", "--state-dir", state, "p.py"], cwd=tmp_path, stderr=full,
                              stdout=subprocess.PIPE)
    assert done.stdout == b"x\n"


@needs_image
def test_run_writes_into_what_is_no_file(state, tmp_path):
    (tmp_path / "p.py").write_text("print('x')")
    os.mknod(tmp_path / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert run(state, "p.py", "--certificate", "null", cwd=tmp_path).returncode == 0
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)
    (tmp_path / "link").symlink_to("behind")
    (tmp_path / "behind").write_text("")
    assert run(state, "p.py", "--certificate", "link", cwd=tmp_path).returncode == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "behind").stat().st_size
    for stream, other in ((">>", "2>"), ("2>>", ">")):
        (tmp_path / "log").write_text("before\n")
        name = "/dev/stderr" if "2" in stream else "/dev/stdout"
        subprocess.run(["bash", "-c", f"{CUPEL} run --state-dir {state} p.py --certificate {name} "
                        f"{stream} log {other} /dev/null"], cwd=tmp_path)
        before, rest = (tmp_path / "log").read_text().split("\n", 1)
        certificate, end = json.JSONDecoder().raw_decode(rest)
        assert before == "before" and "payload" in certificate
        assert rest[end:].strip() == "x" if "2" not in stream else "simulated" in rest[end:]
    refused = run(state, "p.py", "--certificate", tmp_path, cwd=tmp_path)
    assert refused.returncode == 1 and b"Is a directory" in refused.stderr and refused.stdout == b""


@needs_image
def test_run_takes_its_time_to_print_and_ends_when_asked(state, tmp_path):
    (tmp_path / "p.py").write_text("print('x' * 900000)")
    mine, theirs = os.pipe()
    os.set_blocking(theirs, False)
    process = subprocess.Popen([CUPEL, "run", "--state-dir", state, "p.py"], cwd=tmp_path, stdout=theirs,
                               stderr=subprocess.DEVNULL)
    os.close(theirs)
    certificate = tmp_path / "p.py.certificate.json"
    assert svc.eventually(certificate.exists)
    time.sleep(0.2)
    with open(mine, "rb") as pipe:
        assert len(pipe.read()) == 900001
    assert process.wait(30) == 0
    certificate.unlink()
    process = subprocess.Popen([CUPEL, "run", "--state-dir", state, "p.py"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert svc.eventually(certificate.exists)
    time.sleep(0.2)
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM


@needs_image
@pytest.mark.parametrize("script, flags, code, status", [
    ("import time; time.sleep(60)", ["--timeout", "1"], 110, "killed:wall-timeout"),
    ("x = bytearray(200 << 20)", ["--memory", "64"], 112, "killed:memory"),
    ("while True: print('x' * 100000)", [], 115, "killed:output"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", [], 139, "killed:signalled"),
    ("import sys; sys.exit(3)", [], 3, "nonzero"),
    ("raise SystemExit('words')", [], 1, "nonzero"),
], ids=["timeout", "memory", "output", "signal", "exit-3", "exit-text"])
def test_run_exit_codes(state, tmp_path, script, flags, code, status):
    (tmp_path / "s.py").write_text(script)
    process = run(state, "s.py", "--json", *flags, cwd=tmp_path)
    reply = json.loads(process.stdout)
    assert reply["status"] == status and process.returncode == code, process.stderr
    assert reply["verification"]["verdict"] == "simulated"
    assert reply["certificate_file"] == "s.py.certificate.json"


@needs_image
def test_run_says_what_ended_it(state, tmp_path):
    process = run(state, "python", "-", "--timeout", "1", stdin=b"while True: pass", cwd=tmp_path)
    assert process.returncode == 110 and b"cupel: killed:wall-timeout: " in process.stderr


@needs_image
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_is_cancelled_and_certified(state, tmp_path, number):
    (tmp_path / "s.py").write_text("import time; time.sleep(60)")
    process = subprocess.Popen([CUPEL, "run", "--state-dir", state, "s.py"], cwd=tmp_path,
                               env=CLEAN, stderr=subprocess.PIPE, start_new_session=True)
    time.sleep(0.7)
    os.killpg(process.pid, number)  # as a terminal does
    err = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 117 and "cancelled" in err and "simulated" in err
    assert (tmp_path / "s.py.certificate.json").exists()


@needs_image
def test_run_goes_on_where_signals_are_ignored(state, tmp_path):
    (tmp_path / "s.py").write_text("import time; time.sleep(1.5); print('whole')")
    process = subprocess.Popen(["bash", "-c", f"trap '' INT HUP; exec {CUPEL} run --state-dir {state} s.py"],
                               cwd=tmp_path, env=CLEAN, stdout=subprocess.PIPE, start_new_session=True)
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.communicate(timeout=20)[0] == b"whole\n" and process.returncode == 0


@needs_image
def test_run_killed_leaves_nothing(state, tmp_path):
    (tmp_path / "s.py").write_text("import time; time.sleep(60)")
    process = subprocess.Popen([CUPEL, "run", "--state-dir", state, "s.py"], cwd=tmp_path,
                               env=CLEAN, stderr=subprocess.PIPE)
    time.sleep(0.7)
    family = svc.children_of(process.pid)
    assert len(family) >= 3
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "s.py.certificate.json").exists()
    assert not [line for line in pathlib.Path("/proc/mounts").read_text().splitlines()
                if str(state) in line]


def is_alive(pid):
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@needs_image
@pytest.mark.parametrize("args, message", [
    (["missing.py"], "No such file"),
    (["s.py", "--data", "missing.csv"], "missing.csv"),
    (["s.py", "--tool", "gcc"], "gcc"),
    (["s.py", "--image", "missing"], "missing"),
    (["latin.py"], "expected text in UTF-8"),
    (["s.py", "--certificate", "no/such/place"], "cannot be written"),
    ([".hidden.py"], "script '.hidden.py'"),
    (["s.py", "--env", "CUPEL_X=1"], "CUPEL_X"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_run_refusals(state, tmp_path, args, message):
    (tmp_path / "s.py").write_text("print(1)")
    (tmp_path / ".hidden.py").write_text("print(1)")
    (tmp_path / "latin.py").write_bytes(b"print('\xe4')")
    process = run(state, *args, cwd=tmp_path)
    out, err = text(process)
    assert process.returncode == 1 and message in err and out == "", err
    assert not list(tmp_path.glob("*.certificate.json"))


@needs_image
@pytest.mark.parametrize("args, message", [
    (["s.py", "--env", "ABSENT"], "not in our environment"),
    (["s.py", "--env", "A=1", "--secret-env", "A=2"], "given twice"),
    (["s.py", "sub/s.py"], "two scripts are named s.py"),
    (["s.py", "--data", "=x"], "expected FILE or NAME=FILE"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_run_usage(state, tmp_path, args, message):
    (tmp_path / "sub").mkdir()
    for name in ("s.py", "sub/s.py"):
        (tmp_path / name).write_text("print(1)")
    process = run(state, *args, cwd=tmp_path)
    assert process.returncode == 2 and message in process.stderr.decode(), process.stderr


def read_terminal(master):
    seen = b""
    while select.select([master], [], [], 20)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other side closed
            break
        seen += piece
    os.close(master)
    return seen


@needs_image
def test_run_shows_progress_on_a_terminal_only(state, tmp_path):
    (tmp_path / "s.py").write_text("import time; time.sleep(2.2)")
    master, slave = pty.openpty()
    process = subprocess.Popen([CUPEL, "run", "--state-dir", state, "s.py"], cwd=tmp_path,
                               env=CLEAN, stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    seen = read_terminal(master)
    assert process.wait() == 0
    assert b"running: " in seen and seen.rstrip().endswith(b"s.py.certificate.json")
    process = run(state, "s.py", cwd=tmp_path)
    assert b"running" not in process.stderr


@needs_image
def test_runs_at_once_share_a_fresh_state(tmp_path):
    (tmp_path / "s.py").write_text("print('one')")
    both = [subprocess.Popen([CUPEL, "run", "--state-dir", tmp_path / "state", "s.py",
                              "--certificate", f"{i}.json"], cwd=tmp_path, env=CLEAN,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(3)]
    assert [p.communicate(timeout=60)[0] for p in both] == [b"one\n"] * 3
    for i in range(3):
        assert cupel("verify", tmp_path / f"{i}.json",
                     "--state-dir", tmp_path / "state").returncode == 3


# verify

@pytest.fixture(scope="module")
def certified(state):
    """A run: folder with s.py.certificate.json, output, reply.json."""
    folder = state / "certified"
    folder.mkdir()
    (folder / "s.py").write_text("print('the result')")
    process = run(state, "s.py", "--json", cwd=folder)
    reply = json.loads(process.stdout)
    (folder / "reply.json").write_text(json.dumps(reply))
    (folder / "output").write_text(reply["result"]["output"])
    return folder


def verify(state, path, *args, **more):
    process = cupel("verify", path, "--json", "--state-dir", state, *args, **more)
    checks = {}
    if process.stdout:
        document = json.loads(process.stdout)
        checks = {row["name"]: row["result"] for row in document["checks"]}
        checks["verdict"] = document["verdict"]
    return process.returncode, checks, process.stderr.decode()


@needs_image
def test_verify_simulated(state, certified):
    code, checks, _ = verify(state, certified / "s.py.certificate.json", "--result",
                             certified / "output", "--trace", certified / "reply.json")
    assert code == 3 and checks["verdict"] == "simulated"
    assert checks["result"] == checks["trace"] == checks["issuer"] == checks["tcb"] == "pass"
    assert checks["measurement"] == "pass" and checks["transparency"] == "not-checked"


@needs_image
def test_verify_for_people(state, certified):
    process = cupel("verify", "-", "--state-dir", state,
                    stdin=(certified / "s.py.certificate.json").read_bytes())
    out, err = text(process)
    assert process.returncode == 3
    assert "verdict SIMULATED" in out and "not-checked  transparency" in out
    assert f"issuer: {state}/issuer.pem" in err and "simulated platform" in err


@needs_image
def test_verify_with_given_anchor_issuer_and_collateral(state, certified, tmp_path):
    sim = state / "tee-sim"
    measured = json.loads((certified / "reply.json").read_text())
    args = ["--anchor", sim / "root.der", "--issuer", state / "issuer.pem",
            "--collateral", sim / "collateral"]
    code, checks, err = verify(tmp_path, certified / "s.py.certificate.json", *args)
    assert code == 3 and checks["tcb"] == "pass", (checks, err)
    pem = tmp_path / "root.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n" + "\n".join(
        re.findall(".{1,64}", base64.b64encode((sim / "root.der").read_bytes()).decode()))
        + "\n-----END CERTIFICATE-----\n")
    assert verify(tmp_path, certified / "s.py.certificate.json", "--anchor", pem)[0] == 3
    quote = base64.b64decode(measured["proof"]["tee_attestation"]["tee"]["quote"])
    mrtd = quote[48 + 136:48 + 136 + 48].hex()
    code, checks, _ = verify(state, certified / "s.py.certificate.json", "--measurement", mrtd)
    assert code == 3 and checks["measurement"] == "pass"


@needs_image
def test_certificates_outlive_an_upgrade(served, tmp_path):
    """What earlier versions measured stays known to service and command line."""
    (tmp_path / "r.json").write_text(json.dumps(svc.script("print(1)")))
    assert client(served, "execute", tmp_path / "r.json", "--certificate",
                  tmp_path / "c.json").returncode == 0
    known = served.state / "measurements"
    own = known.read_text()
    assert re.fullmatch(r"([0-9a-f]{96}\n){1,16}", own)
    known.write_text("ab" * 48 + "\n")
    assert client(served, "verify", tmp_path / "c.json").returncode == 1
    newer = "".join(f"{i:096x}\n" for i in range(15))
    known.write_text(newer + own[:97])
    assert client(served, "verify", tmp_path / "c.json").returncode == 3
    service = svc.Service()
    try:  # another service that starts on it puts its own first and keeps the newest 16
        service.stop()
        (service.state / "measurements").write_text("".join(f"{i:096x}\n" for i in range(16)))
        service.start()
        lines = (service.state / "measurements").read_text().splitlines()
        assert lines[0] == own[:96] and lines[1:] == [f"{i:096x}" for i in range(15)]
    finally:
        service.close()
        known.write_text(own)


def resigned(envelope, change):
    envelope = json.loads(envelope)
    change(envelope)
    return json.dumps(envelope).encode()


def edit_payload(old, new):
    def change(envelope):
        payload = base64.b64decode(envelope["payload"])
        assert old in payload
        envelope["payload"] = base64.b64encode(payload.replace(old, new, 1)).decode()
    return change


def flip_signature(index):
    def change(envelope):
        raw = bytearray(base64.b64decode(envelope["signatures"][index]["sig"]))
        raw[10] ^= 1
        envelope["signatures"][index]["sig"] = base64.b64encode(raw).decode()
    return change


@needs_image
@pytest.mark.parametrize("change, failed", [
    (edit_payload(b'"completed"', b'"nonzero"'), "signature"),
    (edit_payload(b'"assurance":"none"', b'"assurance":"hardware"'), "signature"),
    (edit_payload(b"execution-simulated/v1", b"execution/v1"), "signature"),
    (flip_signature(0), "signature"),
    (flip_signature(1), "issuer"),
    (lambda e: e["signatures"].pop(0), "signature"),
    (lambda e: e["signatures"].pop(1), "issuer"),
    (lambda e: e.update(payloadType="text/plain"), "envelope"),
    (lambda e: e.update(extra=1), "envelope"),
    (lambda e: e.update(payload="***"), "envelope"),
    (lambda e: e.update(signatures=[]), "envelope"),
], ids=["outcome", "assurance", "predicate-type", "agent-signature", "issuer-signature",
        "no-agent-signature", "no-issuer-signature", "payload-type", "unknown-member", "no-base64",
        "no-signatures"])
def test_verify_refuses_tampering(state, certified, change, failed):
    forged = resigned((certified / "s.py.certificate.json").read_bytes(), change)
    code, checks, _ = verify(state, "-", stdin=forged)
    assert code == 1 and checks["verdict"] == "failed"
    assert "fail" in (checks[failed], checks["statement"]), checks


@needs_image
def test_verify_wrong_companions(state, certified, tmp_path):
    certificate = certified / "s.py.certificate.json"
    (tmp_path / "other").write_text("the resulT\n")
    assert verify(state, certificate, "--result", tmp_path / "other")[1]["result"] == "fail"
    assert verify(state, certificate, "--measurement", "00" * 48)[0] == 1
    assert verify(state, certificate, "--as-of", "2021-01-01")[0] == 1
    trace = json.loads((certified / "reply.json").read_text())["execution_trace"]
    trace["events"].pop()
    (tmp_path / "trace.json").write_text(json.dumps(trace))
    code, checks, _ = verify(state, certificate, "--trace", tmp_path / "trace.json")
    assert code == 1 and checks["trace"] == "fail"
    other = tmp_path / "state"
    assert run(other, "python", "-", stdin=b"", cwd=tmp_path).returncode == 0
    code, checks, _ = verify(other, certificate)  # another machine's anchor and issuer
    assert code == 1 and checks["quote"] == checks["issuer"] == "fail"
    assert verify(state, certificate, "--issuer", other / "issuer.pem")[1]["issuer"] == "fail"
    assert verify(state, certificate, "--anchor", other / "tee-sim" / "root.der")[0] == 1
    code, checks, _ = verify(other, certificate, "--anchor", state / "tee-sim" / "root.der")
    assert code == 3 and checks["issuer"] == checks["measurement"] == "not-checked"


@needs_image
def test_verify_long_trace(state, tmp_path):
    """A reply holds the first 2000 events: what it has not is not checked, what was taken away fails."""
    (tmp_path / "s.sh").write_text("for ((i = 0; i < 1100; i++)); do /bin/true; done")
    process = run(state, "s.sh", "--tool", "true", "--json", cwd=tmp_path)
    reply = json.loads(process.stdout)
    certificate = tmp_path / "s.sh.certificate.json"
    for count, expected in ((2000, "not-checked"), (1999, "fail")):
        del reply["execution_trace"]["events"][count:]
        (tmp_path / "reply.json").write_text(json.dumps(reply))
        code, checks, _ = verify(state, certificate, "--trace", tmp_path / "reply.json")
        assert (code, checks["trace"]) == (3 if count == 2000 else 1, expected)


@needs_image
def test_verify_what_calls_itself_cut(state, certified, tmp_path):
    """How many events there were, the certificate says."""
    reply = json.loads((certified / "reply.json").read_text())
    trace = reply["execution_trace"]
    trace["events"] = [trace["events"][0]] * 2000
    trace["summary"]["size"] = 2001
    (tmp_path / "reply.json").write_text(json.dumps(reply))
    code, checks, _ = verify(state, certified / "s.py.certificate.json", "--trace",
                             tmp_path / "reply.json")
    assert (code, checks["trace"]) == (1, "fail")


@needs_image
def test_verify_without_anything_to_trust(certified, tmp_path):
    code, checks, _ = verify(tmp_path, certified / "s.py.certificate.json")
    assert checks["measurement"] == "not-checked"
    assert code == 1 and checks["quote"] == "fail" and checks["issuer"] == "not-checked"
    process = cupel("verify", certified / "s.py.certificate.json", "--state-dir", tmp_path)
    assert b"no simulated one in" in process.stderr and b"as --anchor" in process.stderr


@needs_image
@pytest.mark.parametrize("name, message", [
    ("reply.json", "got a reply of POST /execute"), ("statement.json", "bare statement"),
    ("other.json", "got other JSON"), ("absent.json", "No such file")])
def test_verify_explains_wrong_files(state, certified, name, message):
    envelope = json.loads((certified / "s.py.certificate.json").read_text())
    (certified / "statement.json").write_bytes(base64.b64decode(envelope["payload"]))
    (certified / "other.json").write_text('{"a": 1}')
    process = cupel("verify", certified / name, "--state-dir", state)
    assert process.returncode == 1 and message in process.stderr.decode()
    assert process.stdout == b""


@needs_image
@pytest.mark.parametrize("args, code, message", [
    (["--as-of", "yesterday"], 2, "--as-of"), (["--measurement", "xy"], 1, "96 hexadecimal"),
    (["--anchor", "/etc/passwd"], 1, "X.509"), (["--issuer", "/etc/passwd"], 1, "PEM public key"),
    (["--collateral", "/nonexistent"], 1, "tcb_info.json"),
    (["--trace", "/etc/passwd"], 1, "JSON"), (["--result", "/nonexistent"], 1, "No such file")],
    ids=lambda value: value[0] if isinstance(value, list) else "")
def test_verify_bad_options(state, certified, args, code, message):
    process = cupel("verify", certified / "s.py.certificate.json", "--state-dir", state, *args)
    assert process.returncode == code and message in process.stderr.decode(), process.stderr


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0" * 100, b"x" * 200000, b'{"payload": 1}'])
def test_verify_garbage(tmp_path, data):
    code, checks, _ = verify(tmp_path, "-", stdin=data)
    assert code == 1 and checks["verdict"] == "failed" and checks["envelope"] == "fail"


# execute and certificate, against a service

def client(served, *args, **more):
    return cupel(*args, "--state-dir", served.state, **more)


@needs_image
def test_execute(served, tmp_path):
    request = svc.script("import sys; print(open('/data/dataset.txt').read()); print('e', file=sys.stderr)",
                         data=b"rows")
    (tmp_path / "r.json").write_text(json.dumps(request))
    process = client(served, "execute", tmp_path / "r.json", "--certificate", tmp_path / "c.json")
    out, err = text(process)
    assert process.returncode == 0 and out == "rows\n", err
    assert err.startswith("e\n") and "status completed" in err and "verdict SIMULATED" in err
    url = re.search(r"^certificate (\S+)$", err, re.M).group(1)
    assert url.startswith(served.url + "/certificate/cert_")
    assert client(served, "verify", tmp_path / "c.json").returncode == 3
    body = served.call("GET", url[len(served.url):], token=False)[2]
    process = client(served, "verify", "-", stdin=body)
    assert process.returncode == 3, process.stdout


@needs_image
def test_execute_from_standard_input_to_a_file(served, tmp_path):
    process = client(served, "execute", "-", "--output", tmp_path / "o",
                     stdin=json.dumps(svc.script("print(2)")).encode())
    assert process.returncode == 0 and process.stdout == b""
    assert (tmp_path / "o").read_text() == "2\n"


@needs_image
def test_execute_json(served):
    process = client(served, "execute", "-", "--json",
                     stdin=json.dumps(svc.script("raise SystemExit(9)")).encode())
    reply = json.loads(process.stdout)
    assert process.returncode == 1 and reply["result"]["exit_code"] == 9


@needs_image
def test_execute_binary_output(served):
    request = svc.script("import sys; sys.stdout.buffer.write(bytes(range(256)))")
    process = client(served, "execute", "-", stdin=json.dumps(request).encode())
    assert process.stdout == bytes(range(256))


@needs_image
def test_execute_streams_parts(served, tmp_path):
    (tmp_path / "big").write_bytes(os.urandom(1 << 20) * 8)
    request = svc.script("import os; print(sorted((f, os.stat('/data/' + f).st_size) for f in os.listdir('/data')))")
    process = client(served, "execute", "-", "--data", f"one.bin={tmp_path}/big",
                     "--data", f"two.csv={tmp_path}/big", stdin=json.dumps(request).encode())
    assert process.stdout == b"[('one.bin', 8388608), ('two.csv', 8388608)]\n", process.stderr
    request["datasets"] = [{"name": "renamed.csv", "part": "one", "format": "csv"}]
    process = client(served, "execute", "-", "--data", f"one={tmp_path}/big",
                     stdin=json.dumps(request).encode())
    assert process.stdout == b"[('renamed.csv', 8388608)]\n", process.stderr


@needs_image
def test_execute_asynchronously(served):
    request = json.dumps(svc.script("import time; time.sleep(0.5); print('late')")).encode()
    process = client(served, "execute", "-", "--async", stdin=request)
    job = process.stdout.decode().strip()
    assert process.returncode == 0 and job.startswith("job_")
    process = client(served, "execute", "--job", job)
    assert process.returncode == 0 and process.stdout == b"late\n"
    assert json.loads(client(served, "execute", "-", "--async", "--json", stdin=request).stdout)["job_id"]
    process = client(served, "execute", "--job", "job_" + "0" * 32)
    assert process.returncode == 1 and b"404" in process.stderr
    assert client(served, "execute", "--job", "a/b").returncode == 2


@needs_image
@pytest.mark.parametrize("body, message", [
    (b"{", "expected a request as JSON"),
    (b"{}", "sandbox"),
    (json.dumps(svc.script("1", tools=["python", "gcc"])).encode(), "gcc"),
    (json.dumps(svc.script("1", llm={})).encode(), "501"),
    (json.dumps(svc.script("1", data={"data": "base64:*"})).encode(), "base64"),
])
def test_execute_refusals(served, body, message):
    process = client(served, "execute", "-", stdin=body)
    assert process.returncode == 1 and message in process.stderr.decode() and process.stdout == b""


@needs_image
@pytest.mark.parametrize("args, env, message", [
    (["--server", "http://127.0.0.1:1"], {}, "nobody answers"),
    (["--server", "http://192.0.2.1"], {}, "in clear"),
    (["--server", "http://127.0.0.1.example"], {}, "in clear"),
    (["--server", "ftp://127.0.0.1"], {}, "expected the service's URL"),
    (["--token-file", "/nonexistent"], {}, "No such file"),
    (["--token-file", "/etc/hostname"], {}, "401"),
    ([], {"CUPEL_URL": "http://127.0.0.1:1"}, "nobody answers"),
    ([], {"CUPEL_TOKEN_FILE": "/nonexistent"}, "No such file"),
    (["--data", "x=/nonexistent"], {}, "/nonexistent"),
])
def test_execute_cannot_reach(served, args, env, message):
    process = client(served, "execute", "-", *args, env=env,
                     stdin=json.dumps(svc.script("1")).encode())
    assert process.returncode == 1 and message in process.stderr.decode(), process.stderr


@needs_image
@pytest.mark.parametrize("flags, url", [
    (["--tls"], "https://127.0.0.1:"), (["--tls", "--address", "::1"], "https://[::1]:"),
    (["--address", "0.0.0.0"], "http://127.0.0.1:")], ids=["tls", "ipv6", "wildcard"])
def test_execute_finds_the_service(flags, url, tmp_path):
    service = svc.Service(*flags)
    try:
        assert service.url.startswith(url)
        request = json.dumps(svc.script("print(3)")).encode()
        process = cupel("execute", "-", "--state-dir", service.state, stdin=request)
        assert process.stdout == b"3\n", process.stderr
        if "--tls" in flags:
            process = cupel("execute", "-", "--server", service.url, "--state-dir", tmp_path,
                            "--token-file", service.state / "token", stdin=request)
            assert process.returncode == 1 and b"does not verify" in process.stderr
            process = cupel("execute", "-", "--server", service.url, "--state-dir", tmp_path,
                            "--token-file", service.state / "token",
                            "--ca-file", service.state / "tls.pem", stdin=request)
            assert process.stdout == b"3\n", process.stderr
    finally:
        service.close()


@needs_image
def test_execute_over_the_limits(tmp_path):
    """A refusal that comes while the body is still being sent arrives all the same."""
    service = svc.Service("--dataset-max-mb", "1", "--json-max-mb", "1")
    try:
        with open(tmp_path / "big", "wb") as file:
            file.truncate(60 << 20)
        request = json.dumps(svc.script("print(1)")).encode()
        for _ in range(3):
            process = client(service, "execute", "-", "--data", f"x={tmp_path}/big", stdin=request)
            assert process.returncode == 1 and b"413" in process.stderr, process.stderr
        with open(tmp_path / "big", "wb") as file:
            file.truncate((1 << 20) + 1)
        process = client(service, "execute", "-", "--data", f"x={tmp_path}/big", stdin=request)
        assert process.returncode == 1 and b"413" in process.stderr
        assert b"certificate cert_" in process.stderr  # understood, so the refusal is certified
        huge = json.dumps(svc.script("print(1) #" + "x" * (2 << 20))).encode()
        process = client(service, "execute", "-", stdin=huge)
        assert process.returncode == 1 and b"413" in process.stderr
        assert client(service, "execute", "-", stdin=request).stdout == b"1\n"
    finally:
        service.close()


@needs_image
def test_execute_shows_progress_on_a_terminal(served):
    request = json.dumps(svc.script("import time; time.sleep(2)")).encode()
    master, slave = pty.openpty()
    process = subprocess.Popen([CUPEL, "execute", "-", "--state-dir", served.state], env=CLEAN,
                               stdin=subprocess.PIPE, stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    process.stdin.write(request)
    process.stdin.close()
    seen = read_terminal(master)
    assert process.wait() == 0 and b"running: 1 s" in seen and b"verdict SIMULATED" in seen


@needs_image
def test_execute_without_a_token(served, tmp_path):
    process = cupel("execute", "-", "--server", served.url, "--state-dir", tmp_path,
                    stdin=json.dumps(svc.script("1")).encode())
    assert process.returncode == 1 and b"wants a token" in process.stderr


@needs_image
def test_certificate_get_and_search(served, tmp_path):
    data = os.urandom(8).hex().encode()
    reply = served.execute(svc.script("print(1)", data=data))[1]
    id = reply["certificate_id"]
    process = client(served, "certificate", "get", id, "--output", tmp_path / "c")
    assert process.returncode == 0 and client(served, "verify", tmp_path / "c").returncode == 3
    assert json.loads(client(served, "certificate", "get", id).stdout)["payload"]
    assert json.loads(client(served, "certificate", "get", id, "--json").stdout)["certificate_id"] == id
    assert client(served, "certificate", "get", "cert_" + "a" * 26).returncode == 1
    digest = reply["proof"]["dataset_hash"]
    process = client(served, "certificate", "search", "--dataset", digest)
    assert process.stdout.decode().split()[0] == id and len(process.stdout.splitlines()) == 1
    page = json.loads(client(served, "certificate", "search", "--limit", "1", "--json").stdout)
    assert len(page["certificates"]) == 1 and page["next"]
    process = client(served, "certificate", "search", "--dataset", "00" * 32)
    assert process.returncode == 0 and b"no certificate fits" in process.stderr
    process = client(served, "certificate", "search", "--dataset", "x & y")
    assert process.returncode == 1 and b"dataset" in process.stderr
    process = client(served, "certificate", "search", "--status", "killed:wall-timeout")
    assert process.returncode == 0


# image, keys, doctor, serve, sandbox

@needs_image
def test_images():
    process = cupel("image", "list", "--json")
    rows = json.loads(process.stdout)
    digest = (IMAGES / "base").read_text().strip()
    assert any(row["digest"] == digest and "base" in row["names"] for row in rows)
    assert digest.encode() in cupel("image", "list").stdout
    assert json.loads(cupel("image", "verify", "base", "--json").stdout)["digest"] == digest
    assert cupel("image", "verify", "base").returncode == 0
    process = cupel("image", "verify", "missing")
    assert process.returncode == 1 and b"missing" in process.stderr


def test_image_list_of_nothing(tmp_path):
    process = cupel("image", "list", env={"CUPEL_STATE_DIR": str(tmp_path)})
    assert process.returncode == 0 and b"cupel image build" in process.stderr
    assert json.loads(cupel("image", "list", "--json", env={"CUPEL_STATE_DIR": str(tmp_path)}).stdout) == []


@needs_image
def test_image_verify_finds_damage(tmp_path):
    (tmp_path / "images").mkdir()
    digest = (IMAGES / "base").read_text().strip()
    for name in ("base", f"{digest}.json"):
        shutil.copy(IMAGES / name, tmp_path / "images" / name)
    damaged = bytearray((IMAGES / f"{digest}.erofs").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "images" / f"{digest}.erofs").write_bytes(damaged)
    process = cupel("image", "verify", "base", "--state-dir", tmp_path)
    assert process.returncode == 1 and digest[:8].encode() in process.stderr
    process = cupel("doctor", "--state-dir", tmp_path)
    assert process.returncode == 1 and b"MISSING" in process.stdout


@needs_image
def test_image_build_when_nothing_is_due():
    process = cupel("image", "build", "--check")
    assert process.returncode in (0, 1) and process.stdout.startswith(b"image: ")


@needs_image
def test_keys_show(state, certified):
    process = cupel("keys", "show", "--state-dir", state)
    assert process.stdout.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert process.stdout == (state / "issuer.pem").read_bytes()
    body = json.loads(cupel("keys", "show", "--state-dir", state, "--json").stdout)
    envelope = json.loads((certified / "s.py.certificate.json").read_text())
    assert body["keyid"] == envelope["signatures"][1]["keyid"]
    assert (state / "keys" / "issuer.seed").stat().st_mode & 0o77 == 0


def test_keys_show_without_any(tmp_path):
    process = cupel("keys", "show", "--state-dir", tmp_path)
    assert process.returncode == 1 and b"issuer.pem" in process.stderr


@needs_image
def test_doctor(state):
    process = cupel("doctor", "--state-dir", state)
    out, _ = text(process)
    assert process.returncode == 0, out
    for name in ("seccomp", "tee-agent", "init-on-free", "no-swap", "core-pattern", "ptrace-scope"):
        assert name in out
    assert "simulated" in out
    body = json.loads(cupel("doctor", "--state-dir", state, "--json").stdout)
    assert body["ready"] is True
    for row in body["rows"]:
        assert row["enforced"] or row["advice"]


def test_doctor_finds_missing_things(tmp_path):
    process = cupel("doctor", "--json", env={"CUPEL_STATE_DIR": str(tmp_path),
                                             "CUPEL_LIBEXEC": str(tmp_path)})
    assert process.returncode == 1
    body = json.loads(process.stdout)
    missing = {row["name"] for row in body["rows"] if row["required"] and not row["enforced"]}
    assert {"cced", "tee-agent", "base"} <= missing and body["ready"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_doctor_without_root():
    process = subprocess.run([CUPEL, "doctor"], capture_output=True, user=65534, group=65534,
                             extra_groups=[], env=CLEAN)
    assert process.returncode == 1 and b"run it again as root" in process.stdout


@needs_image
def test_serve(tmp_path):
    process = subprocess.Popen([CUPEL, "serve", "--port", "0", "--state-dir", tmp_path], env=CLEAN,
                               stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "url").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert cupel("execute", "-", "--state-dir", tmp_path,
                     stdin=json.dumps(svc.script("print(5)")).encode()).stdout == b"5\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
    process = cupel("serve", "--port", "99999")
    assert process.returncode == 1 and b"port" in process.stderr


@needs_image
@pytest.mark.parametrize("args", [["run", "s.py"], ["serve"]], ids=["run", "serve"])
def test_without_root_it_says_so(args):
    with tempfile.TemporaryDirectory(prefix="cupel-cli-") as folder:
        os.chmod(folder, 0o777)
        pathlib.Path(folder, "s.py").write_text("print(1)")
        process = subprocess.run([CUPEL, *args], capture_output=True, user=65534, group=65534,
                                 extra_groups=[], env=CLEAN, cwd=folder)
    assert process.returncode == 1 and b"run as root" in process.stderr


def test_attest():
    process = cupel("attest", "--help")
    assert process.returncode == 0 and b"cupel attest verify FILE" in process.stdout
    assert cupel("attest", "nonsense").returncode == 2


def test_sandbox():
    process = cupel("sandbox", "--help")
    assert process.returncode == 0 and b"cupel-sandbox" in process.stdout


@pytest.mark.parametrize("words", [("selftest",), ("doctor",), ("--help",)])
def test_sandbox_notices_a_full_disk(words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CUPEL, "sandbox", *words], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"standard output took not all" in done.stderr


@needs_image
@pytest.fixture
def sandbox_root():
    root = pathlib.Path(tempfile.mkdtemp(prefix="cupel-test-pool-"))
    for name in ("bin", "etc", "usr", "proc", "dev", "tmp", "work", "sys"):
        (root / name).mkdir()
    shutil.copy(svc.BUILD / "tests/hostile/hostile", root / "bin")
    yield root
    shutil.rmtree(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tier", ["cold", "hot", "warm"])
def test_sandbox_passes_on_that_its_reader_left(sandbox_root, tier):
    run = [CUPEL, "sandbox", "run", "--tier", tier, "--root", sandbox_root, "/bin/hostile"]
    writer = subprocess.Popen([*run, "flood", "9000000000"], stdout=subprocess.PIPE)
    assert writer.stdout.read(5) == b"xxxxx"
    writer.stdout.close()
    assert writer.wait(30) == 128 + signal.SIGPIPE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tier", ["cold", "hot", "warm"])
def test_sandbox_ends_when_asked_unless_told_to_ignore_it(sandbox_root, tier):
    run = f"exec {CUPEL} sandbox run --json --tier {tier} --root {sandbox_root} --limit wall_ms=1500 /bin/hostile sleep"
    for trap, cause in (("", "cancelled"), ("trap '' INT; ", "wall-timeout")):
        process = subprocess.Popen(["bash", "-c", trap + run], stderr=subprocess.PIPE)
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        reply, message = process.communicate(timeout=20)[1].decode().splitlines()
        assert json.loads(reply)["cause"] == cause and message.startswith(f"cupel-sandbox: {cause}: ")
        assert process.returncode == 125


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tier", ["cold", "hot", "warm"])
@pytest.mark.parametrize("bytes_count, wall_ms, cause", [
    (125000, 60000, b"cancelled"), (9000000, 300, b"wall-timeout"), (9000000, 60000, b"cancelled")])
def test_sandbox_that_delivers_can_be_interrupted(sandbox_root, tier, bytes_count, wall_ms, cause):
    run = subprocess.Popen([CUPEL, "sandbox", "run", "--tier", tier, "--limit", f"wall_ms={wall_ms}",
                            "--root", sandbox_root, "/bin/hostile", "flood", str(bytes_count)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)  # it has ended or is blocked, and nobody reads
    assert run.poll() is None
    run.terminate()
    assert run.wait(5) == 125 and cause in run.stderr.read()
    assert run.stdout.read().startswith(b"xxxxx")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tier", ["cold", "hot"])
def test_sandbox_whose_trace_nobody_reads(sandbox_root, tier):
    """No limit waits for a reader, and nobody has to wait for what is left to say."""
    run = subprocess.Popen([CUPEL, "sandbox", "run", "--tier", tier, "--trace", "--limit", "wall_ms=2000",
                            "--root", sandbox_root, "/bin/hostile", "fork-sequence", "1000000"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(4)
    assert len(svc.children_of(run.pid)) == 0
    run.terminate()  # where its last line found no room
    assert run.wait(5) in (125, -signal.SIGTERM)
    assert b": exit 0\n" in run.stderr.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_sandbox_whose_first_process_is_killed_ends(sandbox_root):
    ends = collections.Counter()
    for number in range(60):
        run = subprocess.Popen([CUPEL, "sandbox", "run", "--root", sandbox_root, "/bin/hostile", "exit", "3"],
                               stderr=subprocess.PIPE)
        children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children")
        while run.poll() is None and not children.read_text():
            pass
        time.sleep(number % 20 / 10000)  # while it is built, and a little later
        with contextlib.suppress(ProcessLookupError):  # it may end between being seen and being killed
            for pid in children.read_text().split()[:1] if run.poll() is None else ():
                os.kill(int(pid), 9)
        ends[b"was killed" in run.communicate(timeout=10)[1]] += 1
        assert run.returncode in (3, 125, 137)
    assert ends[True], ends


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_sandbox_waits_for_its_own_children_only(sandbox_root):
    begin = time.monotonic()
    done = subprocess.run(["bash", "-c", f"sleep 20 >&- 2>&- & exec {CUPEL} sandbox run --root {sandbox_root} "
                           "/bin/hostile exit 3"], capture_output=True)
    assert done.returncode == 3 and time.monotonic() - begin < 10


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_sandbox_pool(sandbox_root, tmp_path):
    socket = tmp_path / "pool"
    socket.write_text("mine")
    refused = cupel("sandbox", "pool", "--root", sandbox_root, "--listen", socket)
    assert refused.returncode == 1 and b"listening at" in refused.stderr
    assert socket.read_text() == "mine"  # what is no socket is not ours to remove
    socket.unlink()
    pool = subprocess.Popen([CUPEL, "sandbox", "pool", "--root", sandbox_root, "--listen", socket,
                             "--ready", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert b"3 hot sandboxes ready" in pool.stderr.readline()
        assert socket.stat().st_mode & 0o777 == 0o600
        for number in range(8):
            done = cupel("sandbox", "run", "--pool", socket, "--json", "/bin/hostile", "exit", number)
            assert done.returncode == number and b'"tier":"hot"' in done.stderr
        for words, code, message in (
                (("--limit", "memory_bytes=4194304"), 125, b"another memory limit"),
                (("--root", sandbox_root), 2, b"have their root already"),
                (("--tier", "warm"), 2, b"have their tier already")):
            done = cupel("sandbox", "run", "--pool", socket, *words, "/bin/hostile", "exit", 0)
            assert done.returncode == code and message in done.stderr
        second = cupel("sandbox", "pool", "--root", sandbox_root, "--listen", socket)
        assert second.returncode == 1 and b"another pool" in second.stderr
        status = json.loads(cupel("sandbox", "pool", "--status", socket).stdout)
        assert (status["taken_total"], status["failed_total"]) == (9, 0)
    finally:
        pool.send_signal(signal.SIGTERM)
    assert json.loads(pool.communicate(timeout=30)[0])["taken_total"] == 9 and pool.returncode == 0
    assert not socket.exists()
    gone = cupel("sandbox", "run", "--pool", socket, "/bin/hostile", "exit", 0)
    assert gone.returncode == 125 and b"running 'cupel-sandbox pool'" in gone.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("arguments, code, message", [
    ((), 2, b"expected --listen"), (("--root", "/"), 2, b"expected --root DIR and --listen"),
    (("--status", "/nowhere"), 1, b"running 'cupel-sandbox pool'"),
    (("--root", "/", "--listen", "/nowhere/at/all"), 1, b"listening at /nowhere"),
    (("--root", "/", "--ready", "65", "--listen", "x"), 2, b"65"),
    (("--root", "/", "--app", "/", "--listen", "x"), 2, b"--app: not for pool, but for run")])
def test_sandbox_pool_refuses(arguments, code, message):
    done = cupel("sandbox", "pool", *arguments)
    assert done.returncode == code and message in done.stderr


def test_sandbox_pool_that_cannot_be_built(sandbox_root, tmp_path):
    done = cupel("sandbox", "pool", "--root", sandbox_root, "--listen", tmp_path / "p", "python3")
    assert done.returncode == 1 and b"cannot execute python3" in done.stderr
    assert not (tmp_path / "p").exists()


def test_installed_tree_works(tmp_path):
    subprocess.run(["meson", "install", "-C", svc.BUILD, "--no-rebuild", "--quiet",
                    "--destdir", tmp_path / "root"], check=True, capture_output=True)
    prefix = tmp_path / "root" / "usr" / "local"
    assert {p.name for p in (prefix / "bin").iterdir()} == {"cupel"}
    inside = {p.name for p in (prefix / "libexec" / "cupel").iterdir()}
    assert {"cced", "cced-keys", "tee-agent", "tee-sim", "tee-fetch", "cupel-sandbox", "images"} <= inside
    installed = prefix / "bin" / "cupel"
    env = {**CLEAN, "CUPEL_STATE_DIR": str(tmp_path / "state")}
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "images").symlink_to(IMAGES)
    process = subprocess.run([installed, "run", "python", "-"], input=b"print('installed')",
                             capture_output=True, env=env, cwd=tmp_path)
    assert process.stdout == b"installed\n", process.stderr
    process = subprocess.run([installed, "image", "build", "--check"], capture_output=True, env=env)
    assert process.stdout.startswith(b"image: "), process.stderr
