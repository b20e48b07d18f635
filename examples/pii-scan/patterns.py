"""What counts as personal data. The same expressions mean the same in Python's re and in PCRE.

A match is the whole of a number or address, never a part of a longer one: what stands before and
behind is part of the rule.
"""
import re

# Social Security number (SSA, since 2011): area not 000, 666 or 9xx, group not 00, serial not
# 0000; and not one of the two that advertisements made famous.
SSN = (r"(?<![A-Za-z0-9.-])(?!000|666|9|078-05-1120|219-09-9999)[0-9]{3}-(?!00)[0-9]{2}"
       r"-(?!0000)[0-9]{4}(?![A-Za-z0-9]|[.-][0-9])")

# Mail address: dot-separated atoms, a domain of at least two labels, a top label of letters.
EMAIL = (r"(?<![A-Za-z0-9._%+@-])[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*"
         r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
         r"(?![A-Za-z0-9@-]|\.[A-Za-z0-9])")

# North American telephone number: area and exchange start with 2-9 and are not N11.
PHONE = (r"(?<![A-Za-z0-9.-])(?:\+1[ .-]?|1-)?"
         r"(?:\((?!.11)[2-9][0-9]{2}\) ?|(?!.11)[2-9][0-9]{2}[ .-])"
         r"(?!.11)[2-9][0-9]{2}[ .-][0-9]{4}(?![A-Za-z0-9]|[.-][0-9])")

PATTERNS = {"ssn": SSN, "email": EMAIL, "phone": PHONE}
COMPILED = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


def count(text):
    """{kind: matches} in one piece of text, kinds without a match left out."""
    found = {}
    for kind, pattern in COMPILED.items():
        if kind == "email" and "@" not in text:
            continue
        matches = sum(1 for _ in pattern.finditer(text))
        if matches:
            found[kind] = matches
    return found
