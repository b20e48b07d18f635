"""What the documents name is there: files, functions, links, settings, the help of every command."""
import pathlib
import re
import subprocess
import sys

import pytest

import service as svc

ROOT = svc.ROOT
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("spec/*.md"),
                    *ROOT.glob("examples/**/*.md")])


def names(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_files_of_the_architecture_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(r"`((?:src|spec|tools|tests)/[\w./-]+)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_walk_of_execute():
    """Each function of the walk is defined in the file that is named behind it."""
    walk = (ROOT / "ARCHITECTURE.md").read_text().split("## The walk of POST /execute")[1]
    walk = walk.split("## What to read next")[0]
    assert len(re.findall(r"^\d\. ", walk, re.M)) == 9
    sources = {path: path.read_text() for path in (ROOT / "src").rglob("*.c")}
    named = re.findall(r"`(\w+)`", walk)
    assert len(named) >= 20
    for name in named:
        defined = [path for path, text in sources.items()
                   if re.search(rf"^(?:[\w *]+[ *])?{name}\(", text, re.M)]
        assert defined, f"{name} is defined nowhere"
    pairs = re.findall(r"`(\w+)` (?:in |\()\s*`(src/[\w/.-]+\.c)`", walk.replace("\n   ", " "))
    assert len(pairs) >= 12
    for name, path in pairs:
        assert re.search(rf"^(?:[\w *]+[ *])?{name}\(", (ROOT / path).read_text(), re.M), (name, path)


def test_reference_of_the_command_line_is_the_help():
    made = subprocess.run([sys.executable, ROOT / "tools" / "cli_reference.py", svc.BUILD],
                          check=True, capture_output=True, text=True).stdout
    assert (ROOT / "docs/reference/cli.md").read_text() == made, (
        "run tools/cli_reference.py build/release > docs/reference/cli.md")


def test_every_setting_is_documented():
    help_text = subprocess.run([svc.CCED, "--help"], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^  --([\w-]+) +.*\(default: (.*)\)$", help_text, re.M)
    text = (ROOT / "docs/reference/configuration.md").read_text()
    text = text.split("\n## ")[0]
    assert len(rows) >= 16
    for name, default in rows:
        row = re.search(rf"^\| `{name}` \| ([^|]*) \|", text, re.M)
        assert row, name
        assert row.group(1).strip(" `") == default, name
    for name in re.findall(r"^\| `([\w-]+)` \|", text, re.M):
        assert name in dict(rows), f"{name} is no setting"


def test_every_route_is_documented():
    text = (ROOT / "docs/reference/http.md").read_text()
    table = (ROOT / "src/programs/cced/api.c").read_text().split("} routes[] = {")[1].split("};")[0]
    for method, path in re.findall(r'\{ "(\w+)", "([^"]+)"', table):
        assert f"{method} {path.rstrip('/')}" in text, (method, path)


def test_metrics_are_documented():
    text = (ROOT / "docs/reference/http.md").read_text()
    for name in re.findall(r'"(cupel_\w+)"', (ROOT / "src/programs/cced/metrics.c").read_text()):
        assert name in text, name


def test_attacks_have_their_tests():
    """Each test and probe that docs/sandbox-comparison.md names exists and is run."""
    rows = [row.split("|") for row in (ROOT / "docs/sandbox-comparison.md").read_text().splitlines()
            if row.startswith("| ") and len(row.split("|")) == 6]
    probes = re.findall(r"PROBE\((\w+)\)", (ROOT / "tests/hostile/exposure.c").read_text())
    attacks = 0
    for _, attack, mechanism, tests, _, _ in rows:
        if attack.strip() in ("attack", ""):
            continue
        attacks += 1
        named = re.findall(r"`(\w+):(\w+)`", tests)
        assert named, attack
        for name in re.findall(r"`probe:(\w+)`", mechanism):
            assert name in probes, (attack, name)
        for home, name in named:
            if home.startswith("test_"):
                texts = [path.read_text() for path in ROOT.glob(f"tests/*/{home}.py")]
                assert any(f"\ndef {name}(" in text for text in texts), (attack, name)
                continue
            text = (ROOT / f"tests/unit/test_{home}.c").read_text()
            assert f"START_TEST({name})" in text, (attack, name)
            assert re.search(rf"\b{name}\b", text.split("UNIT_MAIN(")[1]), f"{name} is not run"
    assert attacks > 70
