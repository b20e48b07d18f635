"""Our core and the oracle on one suite: what they disagree on."""
import json
import re
import subprocess

import suite as suites

# A bit anywhere in a file: which reason comes first depends on how far each side reads.
ANYWHERE = re.compile(r"file-(flip|cut)|(flip|cut)-(root_crl|pck_crl|tcb|qe)|(log|quote)-(flip|cut)"
                      r"|flip-any")


def core(checker, kind, folder):
    """{id: (is accepted, reasons in order)} by the C core."""
    output = subprocess.run([str(checker), kind, str(folder)], check=True, capture_output=True,
                            text=True).stdout
    rows = (line.split("\t") for line in output.splitlines())
    return {name: (verdict == "valid", reasons.split()) for name, verdict, reasons in rows}


def disagreements(checker, kind, folder):
    """(number of cases, accepted, [(id, ours, oracle's)] that differ, reasons seen)."""
    _, cases = suites.load(folder / "cases.json")
    ours = core(checker, kind, folder)
    wrong, accepted, seen = [], 0, set()
    for case in cases:
        is_accepted, reasons = ours[case["id"]]
        expected = suites.judge(kind, folder, case)
        accepted += not expected
        seen |= expected
        is_right = is_accepted == (not expected)
        if is_right and expected and not ANYWHERE.search(case["id"]):
            is_right = reasons[0] in expected
        if not is_right:
            wrong.append((case["id"], "valid" if is_accepted else reasons, sorted(expected)))
    return len(cases), accepted, wrong, seen


def set_differences(checker, kind, folder):
    """For people: cases where the whole sets differ."""
    _, cases = suites.load(folder / "cases.json")
    ours = core(checker, kind, folder)
    for case in cases:
        expected = suites.judge(kind, folder, case)
        if set(ours[case["id"]][1]) != expected:
            print(case["id"], json.dumps(sorted(set(ours[case["id"]][1]) - expected)),
                  json.dumps(sorted(expected - set(ours[case["id"]][1]))))
