#!/usr/bin/python3
"""Simple mistakes, each once a bug somewhere: banned calls, sizes, habits. CONTRIBUTING.md says why.

A line may carry  /* lint: <rule> because <reason> */  to be excused from one rule.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 100
COLUMNS_MAX = 110

RULES = [  # name, pattern, what to use, where it is allowed
    ("banned", r"\b(sprintf|strcpy|strcat|strncpy|strncat|strtok|gets|atoi|atol|sscanf|alloca|setjmp|longjmp|system|popen|vsprintf|tmpnam|mktemp)\s*\(",
     "str_format, buf_append, str_parse_u64, proc_spawn", ()),
    ("malloc", r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|asprintf)\s*\(",
     "mem_alloc, mem_free, mem_string", ("src/kit/base/mem.c",)),
    ("cloexec", r"(?<![\w.>])open(at)?\s*\((?!.*O_CLOEXEC)", "fd_open, fd_open_beneath",
     ("src/kit/base/fd.c",)),
    ("return-minus-one", r"\breturn -1;", "err_set or err_sys with a category", ()),
    ("fork", r"(?<![\w.>])v?fork\s*\(\s*\)", "kit/proc spawn", ("src/kit/proc/", "src/engines/sandbox/")),
    ("todo", r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", "TODO(#issue)", ()),
    ("double-semicolon", r";;\s*$", "one", ()),
    ("memcmp-secret", r"\bmemcmp\s*\(", "view_equal, or crypto_equal for secrets",
     ("src/kit/base/", "src/rules/", "src/engines/")),
]
EXCUSE = re.compile(r"/\* lint: ([\w-]+) because .+\*/")


def lines_of(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        yield number, line


def check_lines(path, relative):
    in_comment = False
    for number, line in lines_of(path):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        excuse = EXCUSE.search(line)
        if in_comment:
            in_comment = "*/" not in code
            continue
        code = re.sub(r"/\*.*?\*/", "", code)
        if "/*" in code:
            in_comment = True
            code = code.split("/*")[0]
        if len(line.expandtabs(8)) > COLUMNS_MAX:
            yield f"{relative}:{number}: wider than {COLUMNS_MAX} columns"
        for name, pattern, instead, allowed in RULES:
            if any(relative.startswith(place) for place in allowed):
                continue
            if excuse and excuse.group(1) == name:
                continue
            if re.search(pattern, code):
                yield f"{relative}:{number}: {name}: use {instead}"


def check_sizes(path, relative):
    lines = path.read_text().splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{relative}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_LINES_MAX:
                yield f"{relative}:{start}: a function of {number - start} lines, at most {FUNCTION_LINES_MAX}"
            start = None


def check_theory(path, relative):
    if not path.read_text().lstrip().startswith("/*"):
        yield f"{relative}: begins without its few lines of theory"


def main():
    faults = []
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        relative = path.relative_to(ROOT).as_posix()
        for check in (check_lines, check_sizes, check_theory):
            faults.extend(check(path, relative))
    print("\n".join(faults) if faults else "lint: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
