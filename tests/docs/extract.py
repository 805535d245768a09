#!/usr/bin/env python3
"""The C++ blocks of a Markdown page as one program: `extract.py PAGE.md OUTPUT.cpp INCLUDE`.

A block opened by ```cpp stands at namespace scope, one opened by ```cpp body inside a function of its own; blocks see earlier ones of
namespace scope, also one that an HTML comment hides from readers. Unless the page has a main(), one is made that runs the bodies in
their order, with assert(). Line numbers in errors are the page's.

A block opened by ```diff changes headers: `--- FILE`, then parts that begin with `@@`, lines marked ' ', '-' or '+'. The page's program
is compiled against a copy of INCLUDE so changed (OUTPUT.cpp.include); lines that are not found exactly once are an error,
and a header that is not there is new.
"""
import os
import re
import shutil
import sys

page, output, include = sys.argv[1:]
changed = output + ".include"
shutil.rmtree(changed, ignore_errors=True)
unit, bodies, kind = [], [], None


def change(number, lines):
    file = None
    for part in "".join(lines).split("@@\n"):
        head = re.match(r"--- include/(\S+)\n$", part)
        if head:
            file = f"{changed}/{head[1]}"
            continue
        rows = part.splitlines()
        old, new = ("".join(row[1:] + "\n" for row in rows if row[:1] in signs) for signs in (" -", " +"))
        text = ""  # of a new header
        if os.path.exists(file):
            with open(file) as f:
                text = f.read()
        elif old:
            sys.exit(f"{page}:{number}: there is no {file}")
        if old and text.count(old) != 1:
            sys.exit(f"{page}:{number}: these lines occur {text.count(old)} times in {file}:\n{old}")
        with open(file, "w") as f:
            f.write(text.replace(old, new) if old else text + new)


with open(page) as source:
    for number, line in enumerate(source, 1):
        words = line.strip().removeprefix("```").split()
        if kind is None and words and line.startswith(("```cpp", "```diff")):
            kind, start, lines = " ".join(words), number, []
        elif kind is not None and line.startswith("```"):
            if kind == "diff":
                if not os.path.exists(changed):
                    shutil.copytree(include, changed)
                change(start, lines)
            else:
                lines.insert(0, f'#line {start + 1} "{page}"\n')
                if kind == "cpp body":
                    bodies.append(f"block_{start}")
                    lines = [f"void {bodies[-1]}() {{\n", *lines, "}\n"]
                unit += lines
            kind = None
        elif kind is not None:
            lines.append(line)
if not any("int main(" in line for line in unit):
    unit.append("int main() {\n" + "".join(f"  {body}();\n" for body in bodies) + "}\n")
with open(output, "w") as file:
    file.writelines(unit)
