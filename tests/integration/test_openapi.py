"""spec/openapi.json is true: what the running service answers is what the document says.

Every body of tests/vectors/execute.json goes through POST /execute; every other operation is called
rightly and wrongly. Status, media type and body of each answer must stand in the document."""
import base64
import json
import os
import pathlib
import sys

import jsonschema
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import service as svc  # noqa: E402
import test_schema  # noqa: E402
from service import Service, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")

OPENAPI = test_schema.OPENAPI
STATUS = {"invalid": 400, "limit": 413, "unsupported": 501}
CERTIFICATE = "cert_" + "a" * 26
JOB = "job_" + "0" * 32


@pytest.fixture(scope="module")
def cupel():
    service = Service()
    yield service
    service.close()


def resolve(value):
    while "$ref" in value:
        found = OPENAPI
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def conforms(path, method, status, headers, body):
    """The answer stands in the document."""
    operation = OPENAPI["paths"][path][method.lower()]
    assert str(status) in operation["responses"], (status, body)
    response = resolve(operation["responses"][str(status)])
    media = headers["Content-Type"].split(";")[0]
    assert media in response["content"], media
    for name, header in response.get("headers", {}).items():
        assert name in headers or not header.get("required"), name
        if name in headers:
            test_schema.Validator(header["schema"]).validate(headers[name])
    is_json = media == "application/json" or media.endswith("+json")
    if is_json:
        schema = {**response["content"][media]["schema"], "components": OPENAPI["components"]}
        resolver = jsonschema.RefResolver.from_schema(schema)
        test_schema.Validator(schema, resolver=resolver).validate(json.loads(body))
    return json.loads(body) if is_json else body


def ask(cupel, method, path, template=None, body=None, headers=None, token=True):
    status, answer_headers, data = cupel.call(method, path, body, headers, token)
    return status, conforms(template or path.split("?")[0], method, status, answer_headers, data)


def execute(cupel, text, headers=None, **more):
    return ask(cupel, "POST", "/execute", body=text,
               headers={"Content-Type": "application/json", **(headers or {})}, **more)


@pytest.mark.parametrize("row", [row for row in test_schema.ROWS if not row.get("multipart")],
                         ids=lambda row: row["name"])
def test_every_body_of_the_table(cupel, row):
    text = row["text"] if "text" in row else json.dumps(row["body"])
    status, body = execute(cupel, text.encode())
    if row["expect"] == "ok":  # may still fail later: an unknown tool, a URL that does not answer
        assert status != 501, body
    else:
        assert status == STATUS[row["expect"]], body
        assert body["error"]["code"] == row["expect"]
        assert not text or row.get("message", "") in body["error"]["message"]


def test_ends_of_a_run(cupel):
    for code, expected in (("print(1)", "completed"), ("raise SystemExit(3)", "nonzero"),
                           ("import os; os.write(1, bytes(range(256)))", "completed"),
                           ("import os; os.kill(os.getpid(), 9)", "killed:signalled")):
        status, reply = execute(cupel, json.dumps(script(code)))
        assert (status, reply["status"]) == (200, expected)


def largest():
    """Every count and name at its limit, all tools of the image, as many as a request may list."""
    image = next(svc.IMAGES.glob("*.json"))
    tools = sorted(json.loads(image.read_text())["tools"])
    tools = ["bash"] + [tool for tool in tools if tool != "bash"][:test_schema.LIMITS["TOOLS_MAX"] - 1]
    def names(count, width):
        return [f"n{i:0{width - 1}}" for i in range(count)]
    return {
        "datasets": [{"data": "", "format": "json", "name": name} for name in names(16, 128)],
        "sandbox": {"tools": tools, "entrypoint": "main.sh", "args": ["a" * 430],
                    "scripts": {"main.sh": "exit 0", **dict.fromkeys(names(63, 128), "")},
                    "env": {name: {"secret": ""} for name in names(64, 99)}}}


def test_largest_request_is_certified(cupel):
    request = largest()
    status, reply = execute(cupel, json.dumps(request))
    assert (status, reply["status"]) == (200, "completed"), reply
    path = "/certificate/" + reply["certificate_id"]
    body = ask(cupel, "GET", path + "/envelope", "/certificate/{id}/envelope")[1]
    assert len(base64.b64decode(body["payload"])) < 65536
    request["sandbox"]["args"][0] += "a" * 1024
    assert execute(cupel, json.dumps(request))[0] == 413


def test_refused_after_it_was_understood(cupel):
    for dataset, expected in (({"data": "base64:*"}, 400), ({"data": "", "sha256": "0" * 64}, 422)):
        status, body = execute(cupel, json.dumps(script("print(1)", data=dataset)))
        assert status == expected, body


def test_asynchronous_job(cupel):
    status, body = execute(cupel, json.dumps(script("print(1)")), {"Prefer": "respond-async"})
    assert status == 202
    job = body["job_url"]
    status, _, events = cupel.call("GET", job + "/events")
    assert status == 200 and b"event: done\n" in events
    status, body = ask(cupel, "GET", job, "/jobs/{id}")
    assert (status, body["status"], body["http_status"]) == (200, "done", 200)
    assert ask(cupel, "DELETE", job, "/jobs/{id}")[0] == 409
    status, body = execute(cupel, json.dumps(script("import time; time.sleep(60)")),
                           {"Prefer": "respond-async"})
    assert ask(cupel, "DELETE", body["job_url"], "/jobs/{id}")[0] == 202
    assert b"event: done\n" in cupel.call("GET", body["job_url"] + "/events")[2]
    status, body = ask(cupel, "GET", body["job_url"], "/jobs/{id}")
    assert body["status"] == "done"


def test_unknown_things_and_wrong_callers(cupel):
    for method, path in (("GET", "/jobs/{id}"), ("DELETE", "/jobs/{id}"),
                         ("GET", "/jobs/{id}/events")):
        assert ask(cupel, method, path.replace("{id}", JOB), path)[0] == 404
        assert ask(cupel, method, path.replace("{id}", JOB), path, token=False)[0] == 401
    for path in ("/certificate/{id}", "/certificate/{id}/verify", "/certificate/{id}/envelope"):
        assert ask(cupel, "GET", path.replace("{id}", CERTIFICATE), path)[0] == 404
    assert ask(cupel, "GET", "/certificates", token="wrong")[0] == 401
    assert execute(cupel, "{}", token=False)[0] == 401
    assert execute(cupel, "{}", {"Content-Type": "text/plain"})[0] == 415
    status, headers, body = cupel.call("PUT", "/execute", b"{}")
    assert status == 405 and json.loads(body)["error"]["code"] == "method"


def test_certificates(cupel):
    reply = execute(cupel, json.dumps(script("print(2)", data=b"rows")))[1]
    one = "/certificate/" + reply["certificate_id"]
    assert ask(cupel, "GET", one, "/certificate/{id}", token=False)[1]["verdict"] == "simulated"
    assert ask(cupel, "GET", one, "/certificate/{id}", headers={"Accept": "text/html"})[0] == 200
    for tail in ("/verify", "/envelope"):
        assert ask(cupel, "GET", one + tail, "/certificate/{id}" + tail, token=False)[0] == 200
    for query in ("", "?limit=1", f"?dataset={reply['proof']['dataset_hash']}",
                  f"?sandbox={reply['proof']['sandbox_hash']}", "?verdict=simulated",
                  "?status=completed&tool=python", "?since=2020-01-01&until=2999-01-01T00:00:00Z"):
        status, page = ask(cupel, "GET", "/certificates" + query)
        assert status == 200 and page["certificates"], query
    status, page = ask(cupel, "GET", "/certificates?limit=1")
    status, page = ask(cupel, "GET", f"/certificates?limit=1&cursor={page['next']}")
    assert status == 200 and len(page["certificates"]) == 1
    for query in ("?limit=0", "?limit=101", "?dataset=ab", "?verdict=green", "?x=1", "?since=now",
                  "?cursor=%00", "?status=%zz"):
        assert ask(cupel, "GET", "/certificates" + query)[0] == 400, query


def test_operation(cupel):
    assert ask(cupel, "GET", "/healthz", token=False)[1]["status"] == "ok"
    assert b"cupel_jobs_running" in ask(cupel, "GET", "/metrics", token=False)[1]
    assert ask(cupel, "GET", "/keys", token=False)[0] == 200
    assert ask(cupel, "GET", "/openapi.json", token=False)[1] == OPENAPI


def test_every_operation_is_called_here():
    """A new operation needs a call above."""
    mine = pathlib.Path(__file__).read_text()
    for path in OPENAPI["paths"]:
        assert f'"{path.split("/{id}")[0]}' in mine, path
