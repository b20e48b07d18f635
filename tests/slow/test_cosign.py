"""Strangers' verifiers accept the certificates of a running service and refuse everything else:
cosign of Debian trixie, and @sigstore/verify where npm reaches a registry."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent),
                str(pathlib.Path(__file__).parent.parent / "integration")]
import trixie  # noqa: E402
from service import Service, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")
SIMULATED = "https://cupel.dev/execution-simulated/v1"
HARDWARE = "https://cupel.dev/execution/v1"


@pytest.fixture(scope="module")
def cosign():
    return trixie.fetch("cosign") / "usr" / "bin" / "cosign"


class Proof:
    """The files a holder of a result has."""

    def __init__(self, folder, envelope, result, key):
        folder.mkdir(parents=True, exist_ok=True)
        self.envelope, self.result, self.key = folder / "envelope", folder / "result", key
        self.envelope.write_bytes(envelope)
        self.result.write_bytes(result)


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    """Three certificates: data and script, a run that was killed, binary output."""
    service = Service()
    requests = [script("print(open('/data/dataset.txt').read().upper())", data=b"some data"),
                script("print('x', flush=True)\nwhile True: pass",
                       environment={"timeout_seconds": 1}),
                script("import sys\nsys.stdout.buffer.write(bytes(range(256)))")]
    rows = []
    try:
        key = tmp_path_factory.mktemp("key") / "issuer.pem"
        key.write_bytes((service.state / "issuer.pem").read_bytes())
        for i, request in enumerate(requests):
            status, reply = service.execute(request)
            assert status == 200, reply
            envelope = service.call("GET", f"/certificate/{reply['certificate_id']}/envelope",
                                    token=False)[2]
            output = reply["result"]["output"]
            result = (base64.b64decode(output) if reply["result"]["encoding"] == "base64"
                      else output.encode())
            rows.append(Proof(tmp_path_factory.mktemp(f"proof{i}"), envelope, result, key))
    finally:
        service.close()
    return rows


def ask(cosign, proof, kind=SIMULATED, key=None, result=None, envelope=None):
    """(accepted, what cosign said)"""
    done = subprocess.run(
        [cosign, "verify-blob-attestation", "--key", key or proof.key, "--type", kind,
         "--insecure-ignore-tlog", "--signature", envelope or proof.envelope,
         result or proof.result],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("index", range(3))
def test_cosign_accepts(cosign, proofs, index):
    accepted, text = ask(cosign, proofs[index])
    assert accepted and "Verified OK" in text, text


def test_cosign_refuses_it_as_hardware(cosign, proofs):
    accepted, text = ask(cosign, proofs[0], kind=HARDWARE)
    assert not accepted and "predicate" in text.lower(), text


def test_cosign_refuses_another_result(cosign, proofs, tmp_path):
    accepted, text = ask(cosign, proofs[0], result=proofs[1].result)
    assert not accepted and "digest" in text.lower(), text
    changed = tmp_path / "changed"
    changed.write_bytes(proofs[0].result.read_bytes() + b"\n")
    assert not ask(cosign, proofs[0], result=changed)[0]


def test_cosign_refuses_a_changed_payload(cosign, proofs, tmp_path):
    envelope = json.loads(proofs[0].envelope.read_bytes())
    payload = base64.b64decode(envelope["payload"])
    for old, new in ((b'"exitCode":0', b'"exitCode":1'),
                     (hashlib.sha256(proofs[0].result.read_bytes()).hexdigest().encode(),
                      hashlib.sha256(proofs[1].result.read_bytes()).hexdigest().encode())):
        assert old in payload
        changed = tmp_path / "changed"
        changed.write_text(json.dumps(
            {**envelope, "payload": base64.b64encode(payload.replace(old, new)).decode()}))
        for result in (proofs[0].result, proofs[1].result):
            accepted, text = ask(cosign, proofs[0], envelope=changed, result=result)
            assert not accepted and "signature" in text.lower(), text


def test_cosign_refuses_another_key(cosign, proofs, tmp_path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "private"],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "private", "-pubout",
                    "-out", tmp_path / "other.pem"], check=True, capture_output=True)
    assert not ask(cosign, proofs[0], key=tmp_path / "other.pem")[0]


NODE_VERIFIER = """
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');
const fs = require('fs'), crypto = require('crypto');
const [, , envelopePath, keyPath] = process.argv;
const envelope = JSON.parse(fs.readFileSync(envelopePath));
const key = crypto.createPublicKey(fs.readFileSync(keyPath));
let accepted = 0;
for (const signature of envelope.signatures) {
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: 'issuer' }, tlogEntries: [] },
    dsseEnvelope: { payload: envelope.payload, payloadType: envelope.payloadType,
                    signatures: [{ sig: signature.sig, keyid: '' }] } });
  const trust = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [],
                  publicKey: () => ({ publicKey: key, validFor: () => true }) };
  try {
    new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 })
      .verify(toSignedEntity(bundle));
    accepted++;
  } catch (error) { console.error(error.message); }
}
process.exit(accepted ? 0 : 1);
"""


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sigstore")
    if not shutil.which("npm"):
        pytest.skip("no npm on this machine")
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                           "@sigstore/verify@2", "@sigstore/bundle@3"],
                          cwd=folder, capture_output=True, text=True, timeout=180)
    if done.returncode:
        pytest.skip("npm reaches no registry")
    (folder / "verify.js").write_text(NODE_VERIFIER)
    return folder


def test_sigstore_js_agrees(sigstore, proofs, tmp_path):
    def accepts(envelope):
        return subprocess.run(["node", "verify.js", envelope, proofs[0].key],
                              cwd=sigstore, capture_output=True).returncode == 0
    assert accepts(proofs[0].envelope) and accepts(proofs[1].envelope)
    envelope = json.loads(proofs[0].envelope.read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b'"exitCode":0', b'"exitCode":1')
    changed = tmp_path / "changed"
    changed.write_text(json.dumps({**envelope, "payload": base64.b64encode(payload).decode()}))
    assert not accepts(changed)
