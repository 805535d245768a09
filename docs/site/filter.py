#!/usr/bin/env python3
"""`filter.py FROM TO`: a copy of the headers for Doxygen, line for line. What stands behind `///` is handed over as it is written (comments
here are plain text with formulas, in which Doxygen would see commands and tags), and what Doxygen 1.9 cannot read (requires clauses) is blank."""
import os
import re
import sys


def balanced(text, at, pairs="(){}"):
    """The end of the group that begins at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in pairs[::2]) - (text[i] in pairs[1::2])
        if depth == 0:
            return i + 1
    return len(text)


REQUIRES = re.compile(r"(?:^ *|(?<=\) )|(?<=const )|(?<=noexcept )|(?<=> ))requires(?= *\(|\s+requires\b|\s+\w)", re.M)


def without_requirements(text):
    at = 0
    while found := REQUIRES.search(text, at):
        begin, end = found.start(), found.end()
        if re.match(r" *\(", text[end:]):
            end = balanced(text, text.index("(", end))
            while joined := re.match(r" *(?:&&|\|\|) *!? *\(", text[end:]):
                end = balanced(text, end + joined.end() - 1)
        elif inner := re.match(r"\s+requires\s*(?=[({])", text[end:]):
            end += inner.end()
            if text[end] == "(":
                end = balanced(text, end)
                end = text.index("{", end)
            end = balanced(text, end)
        else:
            end += re.match(r"\s+[\w:]+(?:<[^<>]*(?:<[^<>]*>[^<>]*)*>)?", text[end:]).end()
        text = text[:begin] + re.sub(r"[^\n]", " ", text[begin:end]) + text[end:]
        at = end
    return text


def filtered(text):
    lines = without_requirements(text).split("\n")
    for n, line in enumerate(lines):
        here = re.match(r"(\s*)///(?!/)(.*)", line)
        if not here:
            continue
        before = n and re.match(r"\s*\\VB|\s*/\*\*\\verbatim|\s*///", lines[n - 1])
        after = n + 1 < len(lines) and re.match(r"\s*///(?!/)", lines[n + 1])
        head = "" if before else "/**\\verbatim "
        lines[n] = here[1] + (head or "\\VB") + here[2].replace("*/", "* /") + ("" if after else " \\endverbatim*/")
    return "\n".join(lines).replace("\\VB", "")


if __name__ == "__main__":
    for folder, _, files in os.walk(sys.argv[1]):
        to = os.path.join(sys.argv[2], os.path.relpath(folder, sys.argv[1]))
        os.makedirs(to, exist_ok=True)
        for file in files:
            with open(os.path.join(folder, file)) as f, open(os.path.join(to, file), "w") as copy:
                copy.write(filtered(f.read()))
