"""A suite in the form of the shared vectors: cases as JSON, files beside them."""
import json
import pathlib

import snp
import tdx
import tpm


def read(folder, name):
    return (folder / name).read_bytes() if name else None


def files_of(kind, folder, case):
    """Files of a case by role."""
    names = case["collateral"]
    if kind == "tdx":
        return {"quote": read(folder, case["quote"]),
                **{role: read(folder, name) for role, name in names.items()}}
    if kind == "snp":
        roots = [read(folder, n) for n in names["roots"]]
        return {"report": read(folder, case["report"]), "roots": roots, "anchors": set(roots),
                **{role: read(folder, names.get(role)) for role in ("vek", "ica", "crl")}}
    return {"attest": read(folder, case["attest"]), "sig": read(folder, case["sig"]),
            "chain": [read(folder, n) for n in names.get("chain") or []],
            "crls": [read(folder, n) for n in names.get("crls") or []],
            **{role: read(folder, names.get(role)) for role in ("ak", "ak_public", "root", "log")}}


JUDGES = {"tdx": tdx.judge, "snp": snp.judge, "tpm": tpm.judge}


def judge(kind, folder, case):
    return JUDGES[kind](case, files_of(kind, pathlib.Path(folder), case))


def load(path):
    path = pathlib.Path(path)
    return path.parent, json.loads(path.read_text())
