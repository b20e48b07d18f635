"""spec/execute.schema.json and spec/openapi.json against the code they describe.

tests/vectors/execute.json is the table of tests/unit/test_job.c: what the C parser makes of a body,
the schema must make of it too, except where a row says that a schema cannot ("schema")."""
import json
import pathlib
import re

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "spec/execute.schema.json").read_text())
OPENAPI = json.loads((ROOT / "spec/openapi.json").read_text())
ROWS = json.loads((ROOT / "tests/vectors/execute.json").read_text())
HEADER = (ROOT / "src/rules/job/execute.h").read_text()
LIMITS = {name: int(value) for name, value in
          re.findall(r"#define EXECUTE_(\w+) (\d+)", HEADER)}


def pattern(validator, regex, instance, schema):
    """ECMA 262: $ is the very end, while Python's also matches before a last newline."""
    if isinstance(instance, str) and not re.search(regex.replace("$", r"\Z"), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {regex!r}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})


def accepts(schema, body):
    return Validator(schema).is_valid(body)


def test_schema_is_a_schema():
    Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_schema_and_parser_agree(row):
    expected = row.get("schema", "ok" if row["expect"] == "ok" else "invalid")
    if expected == "not-json":
        return
    body = row["body"] if "body" in row else json.loads(row["text"])
    assert accepts(SCHEMA, body) == (expected == "ok")


def sandbox(name):
    return SCHEMA["$defs"]["Sandbox"]["properties"][name]


@pytest.mark.parametrize("have, name", [
    (SCHEMA["properties"]["datasets"]["maxItems"], "DATASETS_MAX"),
    (sandbox("scripts")["maxProperties"], "SCRIPTS_MAX"),
    (sandbox("scripts")["propertyNames"]["maxLength"], "NAME_MAX"),
    (sandbox("scripts")["additionalProperties"]["maxLength"], "SCRIPT_BYTES_MAX"),
    (sandbox("tools")["maxItems"], "TOOLS_MAX"),
    (sandbox("tools")["items"]["maxLength"], "NAME_MAX"),
    (sandbox("args")["maxItems"], "ARGS_MAX"),
    (sandbox("args")["items"]["maxLength"], "TEXT_MAX"),
    (sandbox("env")["maxProperties"], "ENV_MAX"),
    (sandbox("env")["additionalProperties"]["oneOf"][0]["maxLength"], "TEXT_MAX"),
    (sandbox("stdin")["maxLength"], "STDIN_MAX"),
    (SCHEMA["$defs"]["Dataset"]["properties"]["url"]["maxLength"], "URL_MAX"),
    (SCHEMA["$defs"]["Dataset"]["properties"]["part"]["maxLength"], "NAME_MAX"),
    (SCHEMA["$defs"]["Dataset"]["properties"]["name"]["maxLength"], "NAME_MAX"),
])
def test_limits_are_those_of_the_code(have, name):
    assert have == LIMITS[name]


@pytest.mark.parametrize("member, name, default", [
    ("timeout_seconds", "TIMEOUT_SECONDS_MAX", None), ("max_memory_mb", "MEMORY_MB_MAX", None),
    ("max_disk_mb", "DISK_MB_MAX", None), ("max_file_mb", "FILE_MB_MAX", None),
    ("max_processes", "PROCESSES_MAX", None),
    ("max_output_kb", "OUTPUT_KB_MAX", "OUTPUT_KB_DEFAULT"),
    ("max_results_kb", "RESULTS_KB_MAX", "RESULTS_KB_DEFAULT"),
])
def test_ceilings_are_those_of_the_code(member, name, default):
    row = sandbox("environment")["properties"][member]
    assert row["maximum"] == LIMITS[name]
    assert row["default"] == LIMITS[default or name]
    assert row["minimum"] == (LIMITS["MEMORY_MB_MIN"] if member == "max_memory_mb" else 1)


def test_described_totals_are_those_of_the_code():
    assert f"{LIMITS['VALUES_BYTES_MAX']} bytes" in sandbox("args")["description"]
    assert f"{LIMITS['SCRIPTS_BYTES_MAX'] >> 20} MiB of UTF-8 together" in (
        sandbox("scripts")["description"])


def test_openapi_holds_the_same_schema():
    def moved(value):
        return json.loads(json.dumps(value).replace("#/$defs/", "#/components/schemas/"))
    schemas = OPENAPI["components"]["schemas"]
    body = {name: value for name, value in SCHEMA.items()
            if name not in ("$schema", "$id", "$defs")}
    assert schemas["ExecuteRequest"] == moved(body)
    assert schemas["Dataset"] == moved(SCHEMA["$defs"]["Dataset"])
    assert schemas["Sandbox"] == moved(SCHEMA["$defs"]["Sandbox"])


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_openapi_references_resolve_and_are_all_used():
    used = set(references(OPENAPI))
    components = OPENAPI["components"]
    defined = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses")
               for name in components[kind]}
    assert used <= defined
    assert defined - used == {"#/components/responses/MethodNotAllowed"}  # named in info


def test_openapi_schemas_are_schemas_and_operations_complete():
    for schema in OPENAPI["components"]["schemas"].values():
        Validator.check_schema(schema)
    ids = []
    for path, item in OPENAPI["paths"].items():
        named = {p["name"] for p in item.get("parameters", [])}
        assert named == set(re.findall(r"{(\w+)}", path))
        for method, operation in item.items():
            if method == "parameters":
                continue
            ids.append(operation["operationId"])
            assert any(status.startswith("2") for status in operation["responses"])
            if operation.get("security"):
                assert {"401", "403"} <= set(operation["responses"])
    assert len(ids) == len(set(ids))


def test_status_table_is_that_of_the_code():
    """src/kit/base/err.c: category and HTTP status."""
    table = dict(re.findall(r'\{ "([a-z-]+)", (\d+) \}', (ROOT / "src/kit/base/err.c").read_text()))
    described = [response["description"] for response in
                 OPENAPI["components"]["responses"].values()]
    for category, status in table.items():
        if category != "ok":
            assert any(text.startswith(f"{status} {category}: ") for text in described), category


def test_checks_are_those_of_the_code():
    code = (ROOT / "src/rules/cert/verify.c").read_text()
    names = re.findall(r"\[CERT_CHECK_\w+\] = \{\s*\"([a-z]+)\"", code)
    schema = OPENAPI["components"]["schemas"]["Verification"]
    assert schema["properties"]["checks"]["items"]["properties"]["name"]["enum"] == names
