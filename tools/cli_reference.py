#!/usr/bin/python3
"""docs/reference/cli.md from the program's own help:  cli_reference.py BUILD > docs/reference/cli.md"""
import pathlib
import re
import subprocess
import sys

INTRODUCTION = """# The command line

Made from `cupel --help` by `tools/cli_reference.py`; a test holds the two together.

Results go to standard output, everything about them to standard error. Every command but those that
become another program takes `--json` (one document on standard output; errors as
`{"error": {"code", "message"}}` on standard error) and `--state-dir`. On a terminal, what takes
longer than a second shows a line of progress.

Environment: `CUPEL_STATE_DIR` (state and images), `CUPEL_URL`, `CUPEL_TOKEN_FILE` and `CUPEL_CA_FILE`
(the service to talk to), `CUPEL_LIBEXEC` (where the other programs are, when not beside cupel).
Images are those of STATE-DIR/images when there is such a directory, else those of
`CUPEL_STATE_DIR` where it is set, else of `/var/lib/cupel`.
"""


def ask(cupel, *words):
    return subprocess.run([cupel, *words, "--help"], check=True, capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin"}).stdout


def main(build):
    cupel = pathlib.Path(build) / "src/programs/cupel/cupel"
    overview = ask(cupel)
    print(INTRODUCTION)
    print("```\n" + overview.strip() + "\n```")
    listing = overview.split("Commands:\n")[1].split("\n\n")[0]
    for line in listing.splitlines():
        words = re.match(r"  (\S+(?: \S+)?)  ", line).group(1).split()
        text = ask(cupel, *words)
        if words[0] in ("serve", "sandbox", "attest"):  # the other program's help has its own place
            text = text.split("\n\nUsage:")[0].split("\n\nusage:")[0]
        print(f"\n## cupel {' '.join(words)}\n\n```\n{text.strip()}\n```")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/release")
