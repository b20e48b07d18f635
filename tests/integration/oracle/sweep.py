"""Cases out of cases: every validity boundary of a case's files, one second before, at and after;
and the files themselves with a bit, a cut, a hole or a repeated part anywhere."""
import base64
import calendar
import re
import time

from make import flip, stamp

FILES = ("quote", "report", "attest", "sig")
UTC = re.compile(rb"\x17\x0d(\d{12})Z")
GENERAL = re.compile(rb"\x18\x0f(\d{14})Z")
JSON_TIME = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]+)-----END")
MUTATIONS = {
    "flip": lambda d, r: flip(d, r.randrange(len(d)), r.randrange(8)),
    "cut": lambda d, r: d[:r.randrange(len(d))],
    "hole": lambda d, r: (lambda at: d[:at] + d[at + r.randrange(1, 9):])(r.randrange(len(d))),
    "twice": lambda d, r: (lambda at, n: d[:at + n] + d[at:])(r.randrange(len(d)), r.randrange(1, 9)),
}


def seconds(text, form):
    return calendar.timegm(time.strptime(text.decode(), form))


def moments(data):
    """Every time written in a file, also inside its PEM blocks."""
    for block in PEM.findall(data):
        yield from moments(base64.b64decode(re.sub(rb"\s|\\n", b"", block)))
    for text in UTC.findall(data):
        century = b"19" if text[:2] >= b"50" else b"20"
        yield seconds(century + text, "%Y%m%d%H%M%S")
    for text in GENERAL.findall(data):
        yield seconds(text, "%Y%m%d%H%M%S")
    for text in JSON_TIME.findall(data):
        yield seconds(text, "%Y-%m-%dT%H:%M:%SZ")


def names_of(case):
    """The files a case names, once each."""
    found = [case[k] for k in FILES if case.get(k)]
    for value in case["collateral"].values():
        found += value if isinstance(value, list) else [value] if value else []
    return list(dict.fromkeys(n for n in found if n))


def copy(suite, case, contents):
    """The case over other contents: {name: bytes}."""
    new = lambda name: suite.write(contents[name]) if name else name
    return {**case, **{k: new(case[k]) for k in FILES if case.get(k)}, "expect": "?",
            "collateral": {role: [new(n) for n in value] if isinstance(value, list) else new(value)
                           for role, value in case["collateral"].items()}}


def read(folder, case):
    return {name: (folder / name).read_bytes() for name in names_of(case)}


def boundaries(suite, folder, case):
    contents = read(folder, case)
    at = {m + d for data in contents.values() for m in moments(data) for d in (-1, 0, 1)}
    base = copy(suite, case, contents)
    for moment in sorted(at):
        suite.cases.append({**base, "id": f"{case['id']}@{moment}", "as_of": stamp(moment)})


def scatter(suite, folder, case, rng, rounds):
    """All but the anchor, which is the verifier's own."""
    contents = read(folder, case)
    for name, data in contents.items():
        if name == case["collateral"].get("root"):
            continue
        for kind, change in MUTATIONS.items():
            for number in range(rounds if data else 0):
                mutated = {**contents, name: change(data, rng)}
                suite.cases.append({**copy(suite, case, mutated),
                                    "id": f"{case['id']}~{name}:file-flip-{kind}-{number}"})
