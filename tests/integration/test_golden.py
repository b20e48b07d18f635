"""The golden example, recomputed from spec/certificate.md with nothing but hashlib and json.

tests/golden/inputs.json pins the bytes; tests/unit/test_cert.c compares the C code with the same
file. `python3 tests/integration/test_golden.py --write` makes the file anew after a change of the
format, which is then a new version of the format: do not do that lightly.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "inputs.json"

REQUEST = {
    "datasets": [
        {"data": "name,ssn\nAda,078-05-1120\n", "format": "csv", "name": "people.csv"},
        {"data": "base64:AAEC/w==", "name": "raw"},
    ],
    "sandbox": {
        "tools": ["python", "grep"],
        "scripts": {"main.py": "import scan\n", "scan.py": "print('\u20ac')\n"},
        "args": ["--all", "caf\u00e9", "tab\there"],
        "env": {"TOKEN": {"secret": "hunter2"}, "MODE": "strict", "MODE2": ""},
        "stdin": "go\n",
        "environment": {"timeout_seconds": 20, "max_memory_mb": 64},
    },
}
MEASURED = {
    "rootfs": "11" * 32,
    "tools": [
        {"name": "grep", "version": "3.8-5", "sha256": "22" * 32},
        {"name": "python", "version": "3.11.2-6", "sha256": "33" * 32},
    ],
    "tier": "cold",
    "warmup": None,
    "version": "0.1.0",
    "result": "{\"ssn\": 1}\n",
    "status": "completed",
    "exitCode": 0,
}
RUN = {"issuer": "cupel", "trace": {"size": 0}}
EVIDENCE = {"tee": {"mode": "simulated"}}
SPKI = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + bytes(range(32))).decode()
TRACE_SEED = bytes(range(32))
TRACE_EVENTS = [{"seq": i, "t_us": 10 * i, "kind": "agent" if i % 2 else "exec", "n": i}
                for i in range(5)]


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def dataset_bytes(dataset):
    data = dataset["data"]
    if data.startswith("base64:"):
        return base64.b64decode(data[len("base64:"):], validate=True)
    return data.encode()


def environment(sandbox, datasets):
    """Names with values, the caller's first; a secret is a pair (digest of the value)."""
    pairs = {
        "CUPEL_DATA": "/data", "HOME": "/work", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "SOURCE_DATE_EPOCH": "0",
        "TMPDIR": "/tmp", "TZ": "UTC",
    }
    if datasets:
        pairs["CUPEL_DATASET"] = "/data/" + datasets[0]["name"]
    pairs.update(sandbox["env"])
    rows = []
    for name in sorted(pairs, key=lambda name: name + "="):
        value = pairs[name]
        rows.append({"name": name, "value": value} if isinstance(value, str)
                    else {"name": name, "sha256": sha256(value["secret"].encode())})
    return rows


def inputs_of(request, measured):
    sandbox = request["sandbox"]
    limits = {"timeout_seconds": 300, "max_memory_mb": 512, "max_disk_mb": 100, "max_file_mb": 10,
              "max_processes": 10, "max_output_kb": 1024, **sandbox["environment"]}
    camel = {name: name.split("_")[0] + "".join(p.capitalize() for p in name.split("_")[1:])
             for name in limits}
    return {
        "dataset": [{
            "name": d["name"], "format": d.get("format", "bin"), "bytes": len(dataset_bytes(d)),
            "digest": {"sha256": sha256(dataset_bytes(d))},
            "sha3_256": hashlib.sha3_256(dataset_bytes(d)).hexdigest(),
        } for d in request["datasets"]],
        "sandbox": {
            "rootfs": measured["rootfs"],
            "scripts": [{"path": name, "sha256": sha256(text.encode())}
                        for name, text in sorted(sandbox["scripts"].items())],
            "tools": measured["tools"],
            "env": environment(sandbox, request["datasets"]),
            "argv": ["/usr/bin/python3", "/app/main.py", *sandbox["args"]],
            "stdin": sha256(sandbox["stdin"].encode()),
            "limits": {camel[name]: value for name, value in limits.items()},
            "network": "none",
            "tier": measured["tier"],
            "warmup": measured["warmup"],
        },
        "llm": None,
        "policy": {"outputGate": None, "egress": None},
        "platform": {"runtime": "cupel", "version": measured["version"], "determinism": "D1"},
    }


def outcome_of(measured):
    result = measured["result"].encode()
    return {"status": measured["status"], "exitCode": measured["exitCode"],
            "result": {"sha256": sha256(result), "bytes": len(result)}, "gate": None}


def base32_id(statement):
    bits = int.from_bytes(hashlib.sha256(statement).digest(), "big") >> (256 - 130)
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    return "cert_" + "".join(digits[bits >> 5 * (25 - i) & 31] for i in range(26))


def tree_root(hashes):
    """RFC 6962 section 2.1, as it is written."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\1" + tree_root(hashes[:split]) + tree_root(hashes[split:])).digest()


def trace_root(events, seed):
    leaves = []
    for index, event in enumerate(events):
        salt = hmac.new(seed, index.to_bytes(8, "big"), hashlib.sha256).digest()[:16]
        leaves.append(hashlib.sha256(b"\0" + salt + canonical(event)).digest())
    return tree_root(leaves)


def golden():
    inputs, outcome = inputs_of(REQUEST, MEASURED), outcome_of(MEASURED)
    inputs_digest = sha256(canonical(inputs))
    claim_digest = sha256(canonical({"v": 1, "inputsDigest": inputs_digest, "outcome": outcome}))
    rows = [{"name": d["name"], "sha256": d["digest"]["sha256"]} for d in inputs["dataset"]]
    report_data = hashlib.sha512(
        b"cupel-execution-v1\0" + bytes.fromhex(claim_digest) +
        hashlib.sha256(canonical(RUN)).digest() +
        hashlib.sha256(base64.b64decode(SPKI)).digest()).hexdigest()
    statement = canonical({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "result", "digest": {"sha256": outcome["result"]["sha256"]}},
                    {"name": "claim", "digest": {"sha256": claim_digest}},
                    {"name": "inputs", "digest": {"sha256": inputs_digest}}],
        "predicateType": "https://cupel.dev/execution-simulated/v1",
        "predicate": {"inputs": inputs, "outcome": outcome, "run": RUN, "evidence": EVIDENCE},
    })
    return {
        "request": REQUEST, "measured": MEASURED, "run": RUN, "evidence": EVIDENCE, "spki": SPKI,
        "inputs": canonical(inputs).decode(), "inputsDigest": inputs_digest,
        "datasetDigest": sha256(canonical(rows)),
        "sandboxDigest": sha256(canonical(inputs["sandbox"])),
        "outcome": canonical(outcome).decode(), "claimDigest": claim_digest,
        "reportData": report_data, "statement": statement.decode(), "id": base32_id(statement),
        "traceSeed": TRACE_SEED.hex(), "traceEvents": TRACE_EVENTS,
        "traceRoot": trace_root(TRACE_EVENTS, TRACE_SEED).hex(),
    }


def test_golden_file_follows_from_the_specification():
    assert json.loads(GOLDEN.read_text()) == golden()


def test_canonical_inputs_are_stable():
    inputs = json.loads(GOLDEN.read_text())["inputs"]
    assert canonical(json.loads(inputs)).decode() == inputs


def test_reference_merkle_tree():
    """The eight leaves of the certificate-transparency project's tests."""
    leaves = [bytes.fromhex(h) for h in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f")]
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    assert tree_root(hashes[:1]).hex().startswith("6e340b9cffb37a98")
    assert tree_root(hashes).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: test_golden.py --write")
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n")
