#!/usr/bin/python3
"""Other verifiers on the shared vectors: what they accept wrongly, what they refuse wrongly, how
long they take. Ours beside them.

    bench/peers_attest.py [build/release [PLACE]]

PLACE (/opt/peers) is outside the project and holds what bench/peers/README.md says to install: the
Rust and Go verifiers with our drivers, dcap-qvl's JavaScript port. tpm2_checkquote is Debian's
(tpm2-tools). What is not installed is left out; nothing is fetched here. Prints a JSON object for
docs/verifier-comparison.md.
"""
import collections
import datetime
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT.parent / "shared" / "vectors"
PACKAGE = "@phala/dcap-qvl"
REPEAT = 5
# What is left to the caller by design, or was not asked (tpm2_checkquote gets no register values).
POLICY = re.compile(r"^(td|snp)\.|^tcb\.(status:|minimum|launch|provisional)|^vek\.csp_id"
                    r"|tcb_info\.eval_number|^tpm\.(clock|pcr_digest|pcr_selection)"
                    r"|^eventlog\.|^ak\.")

NODE = """
const fs = require("fs"), path = require("path");
const { verify } = require(process.argv[2]);
for (const line of fs.readFileSync(0, "utf8").split("\\n").filter(Boolean)) {
  const c = JSON.parse(line), at = (n) => fs.readFileSync(path.join(c.folder, n));
  const text = (n) => n ? at(n).toString() : "", hex = (n) => n ? at(n).toString("hex") : "";
  const split = (n, member) => {
    const whole = text(n), end = whole.lastIndexOf(',"signature"');
    return [whole.slice(whole.indexOf(":") + 1, end), (whole.slice(end).match(/[0-9a-f]{128}/i) || [""])[0], member];
  };
  let verdict, micros = 0;
  try {
    const f = c.collateral, [tcb, tcbSignature] = split(f.tcb_info), [qe, qeSignature] = split(f.qe_identity);
    const collateral = {
      pck_crl_issuer_chain: "", root_ca_crl: f.root_crl ? at(f.root_crl) : Buffer.alloc(0),
      pck_crl: f.pck_crl ? at(f.pck_crl) : Buffer.alloc(0),
      tcb_info_issuer_chain: text(f.tcb_chain), tcb_info: tcb, tcb_info_signature: Buffer.from(tcbSignature, "hex"),
      qe_identity_issuer_chain: text(f.qe_chain), qe_identity: qe, qe_identity_signature: Buffer.from(qeSignature, "hex"),
    };
    const quote = at(c.quote);
    let root = f.root ? at(f.root) : null;
    if (root && root[0] === 0x2d)
      root = Buffer.from(root.toString().replace(/-----[^-]*-----|\\s/g, ""), "base64");
    const start = process.hrtime.bigint();
    const { QuoteVerifier } = require(process.argv[2]);
    const v = typeof QuoteVerifier === "function" && root ? new QuoteVerifier(root) : null;
    const result = v ? v.verify(quote, collateral, c.seconds) : verify(quote, collateral, c.seconds);
    micros = Number(process.hrtime.bigint() - start) / 1000;
    verdict = result.status;
  } catch (error) { verdict = "refused: " + error.message; }
  console.log(JSON.stringify({ id: c.id, verdict, micros }));
}
"""


def suite(name):
    path = VECTORS / name
    return path.parent, json.loads(path.read_text())


def count(rows):
    """rows: (case, accepted, microseconds)."""
    out = collections.Counter(cases=len(rows))
    wrong = []
    for case, accepted, _ in rows:
        if accepted and case["expect"] != "valid":
            reasons = set(case.get("all") or []) | {case["expect"]}
            by_policy = all(POLICY.search(r) for r in reasons)
            out["invalid_accepted_by_policy" if by_policy else "invalid_accepted"] += 1
            if not by_policy:
                wrong.append(case["id"])
        if not accepted and case["expect"] == "valid":
            out["valid_refused"] += 1
            wrong.append("valid: " + case["id"])
    times = sorted(t for _, _, t in rows if t)
    if times:
        out["median_us"] = round(times[len(times) // 2])
        out["mean_us"] = round(sum(times) / len(times))
    return {**out, "wrong": wrong}


def seconds(text):
    import calendar
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def answers(command, kind, suites):
    """Rows of a driver that reads cases and writes verdicts as JSON lines; each case REPEAT times."""
    rows = []
    for name in suites:
        folder, cases = suite(name)
        lines = "\n".join(json.dumps({**c, "folder": str(folder), "seconds": seconds(c["as_of"])})
                          for c in cases for _ in range(REPEAT))
        output = subprocess.run(command, input=lines, check=True, capture_output=True,
                                text=True).stdout
        got = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        for number, case in enumerate(cases):
            mine = got[number * REPEAT:(number + 1) * REPEAT]
            accepted = {a["verdict"] in ("ok", "UpToDate") for a in mine}
            assert len(accepted) == 1 and mine[0]["id"] == case["id"], case["id"]
            times = [a["micros"] for a in mine if a["micros"]]
            rows.append((case, accepted.pop(), statistics.median(times) if times else 0))
    return count([(c, ok, t if ok else 0) for c, ok, t in rows])


def installed(place):
    """(name, kinds, command, version) of every driver that is there."""
    node = place / "npm" / "node_modules" / PACKAGE
    if (node / "package.json").exists() and shutil.which("node"):
        version = json.loads((node / "package.json").read_text())["version"]
        yield "dcap-qvl (npm)", ("tdx",), ["node", "-e", NODE, "-", str(node)], version
    go, lock = place / "go" / "peers", place / "rust" / "Cargo.lock"
    if go.exists():
        module = (place / "go" / "go.mod").read_text()
        for kind, name in (("tdx", "go-tdx-guest"), ("snp", "go-sev-guest")):
            yield name, (kind,), [str(go)], re.search(name + r" v(\S+)", module)[1]
    rust = place / "rust" / "target" / "release" / "peers"
    if rust.exists():
        versions = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', lock.read_text()))
        yield "dcap-qvl (crate)", ("tdx",), [str(rust)], versions["dcap-qvl"]
        yield "sev (crate)", ("snp",), [str(rust)], versions["sev"]


def spki_of(folder, case, place):
    """The AK's public key as PEM, by openssl."""
    files, out = case["collateral"], pathlib.Path(place, "ak.pem")
    if files.get("ak"):
        command = ["openssl", "x509", "-inform", "DER", "-in", folder / files["ak"], "-noout",
                   "-pubkey", "-out", out]
        done = subprocess.run(command, capture_output=True)
        return out if done.returncode == 0 else None
    if not files.get("ak_public"):
        return None
    public = (folder / files["ak_public"]).read_bytes()
    blob = pathlib.Path(place, "ak.pub")
    blob.write_bytes(len(public).to_bytes(2, "big") + public)
    done = subprocess.run(["tpm2_print", "-t", "TPM2B_PUBLIC", "-f", "pem", blob],
                          capture_output=True)
    out.write_bytes(done.stdout)
    return out if done.returncode == 0 else None


def tpm2_checkquote(suites):
    if not shutil.which("tpm2_checkquote"):
        return None
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for name in suites:
            folder, cases = suite(name)
            for case in cases:
                key = spki_of(folder, case, place)
                if key is None:
                    continue
                command = ["tpm2_checkquote", "-u", key, "-m", folder / case["attest"], "-s",
                           folder / case["sig"], "-q", case["policy"]["nonce"]]
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True)
                micros = (time.perf_counter() - start) * 1e6
                rows.append((case, done.returncode == 0, micros))
    version = re.search(r'version="([^"]*)"', subprocess.run(
        ["tpm2_checkquote", "--version"], capture_output=True, text=True).stdout)
    return {"version": version[1] if version else "", **count(rows)}


def ours(build, kind, suites):
    rows = []
    for name in suites:
        folder, cases = suite(name)
        with tempfile.TemporaryDirectory() as place:  # the checker reads FOLDER/cases.json
            for entry in folder.iterdir():
                pathlib.Path(place, entry.name).symlink_to(entry)
            at = pathlib.Path(place, "cases.json")
            at.unlink(missing_ok=True)
            at.write_text(json.dumps(cases))
            output = subprocess.run([build / "tests/tools/appraise_check", kind, place],
                                    capture_output=True, text=True, check=True).stdout
        verdicts = dict(line.split("\t")[:2] for line in output.splitlines())
        rows += [(c, verdicts[c["id"]] == "valid", 0) for c in cases]
    return count(rows)


def our_times(build):
    """Medians of bench_attest in this run, in us."""
    bench = build / "bench" / "bench_attest"
    if not bench.exists():
        return {}
    output = subprocess.run([bench, VECTORS, "300"], check=True, capture_output=True, text=True)
    return {name: int(usec) for name, usec in re.findall(
        r"^(\S.*?) +p50 +(\d+) us", output.stdout, re.MULTILINE)}


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "release")
    place = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/opt/peers")
    suites = {kind: [f"{kind}/real.json", f"{kind}/sim/cases.json"]
              for kind in ("tdx", "snp", "tpm")}
    result = {kind: {"cupel": ours(build, kind, names)} for kind, names in suites.items()}
    for name, kinds, command, version in installed(place):
        for kind in kinds:
            result[kind][name] = {"version": version, **answers(command, kind, suites[kind])}
    result["tpm"]["tpm2_checkquote"] = tpm2_checkquote(suites["tpm"])
    print(json.dumps({"date": datetime.date.today().isoformat(), "cupel_us": our_times(build),
                      **result}, indent=1))


if __name__ == "__main__":
    main()
