"""A value of env that is marked secret: the script has it, nobody else sees more than its digest."""
import base64
import hashlib
import json
import os
import pathlib
import secrets
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from service import Service, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")


@pytest.fixture(scope="module")
def cupel():
    service = Service()
    yield service
    service.close()


def forms(secret):
    """The value, and its base64 at the three alignments, without the ends that depend on others."""
    data = secret.encode()
    return [data, data.hex().encode(), data[::-1],
            *(base64.b64encode(b"x" * pad + data)[4:-4] for pad in range(3))]


def test_secret_reaches_the_script_and_nothing_else(cupel):
    secret = secrets.token_urlsafe(30)
    request = script("import os\nprint(os.environ['TOKEN'][::2], os.environ['OPEN'])\n",
                     env={"TOKEN": {"secret": secret}, "OPEN": "shown"})
    status, _, reply = cupel.call("POST", "/execute", json.dumps(request),
                                  {"Content-Type": "application/json"})
    assert status == 200 and (secret[::2] + " shown").encode() in reply
    certificate_id = reply.split(b'"certificate_id":"')[1].split(b'"')[0].decode()
    seen = [reply]
    for tail, accept in (("", "application/json"), ("", "text/html"), ("/verify", "*/*"),
                         ("/envelope", "*/*")):
        answer = cupel.call("GET", f"/certificate/{certificate_id}{tail}",
                            headers={"Accept": accept}, token=False)
        assert answer[0] == 200
        seen.append(answer[2])
    envelope = json.loads(seen[-1])
    statement = base64.b64decode(envelope["payload"])
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert f'{{"name":"TOKEN","sha256":"{digest}"}}'.encode() in statement
    assert b'{"name":"OPEN","value":"shown"}' in statement
    seen += [statement, cupel.log_text().encode(),
             cupel.call("GET", "/metrics", token=False)[2]]
    seen += [path.read_bytes() for path in cupel.state.rglob("*") if path.is_file()]
    for form in forms(secret):
        assert not any(form in text for text in seen)


def test_secret_is_not_in_an_error(cupel):
    secret = secrets.token_urlsafe(30)
    for env in ({"TOKEN": {"secret": secret, "x": 1}}, {"TOKEN": {"secret": secret * 200}},
                {"TOKEN": {"secret": [secret]}}):
        status, _, body = cupel.call(
            "POST", "/execute", json.dumps(script("print(1)", env=env)),
            {"Content-Type": "application/json"})
        assert status in (400, 413) and secret.encode() not in body
    assert secret not in cupel.log_text()
