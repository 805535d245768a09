#!/usr/bin/env python3
"""The C++ blocks of a Markdown page as one translation unit: `extract.py PAGE.md OUTPUT.cpp`.

A block opened by ```cpp stands at namespace scope, one opened by ```cpp body inside a function; later blocks see earlier ones
of namespace scope. Line numbers in errors are the page's.
"""
import sys

page, output = sys.argv[1:]
unit, block = [], None
with open(page) as file:
    for number, line in enumerate(file, 1):
        words = line.strip().removeprefix("```").split()
        if block is None and line.startswith("```cpp"):
            block = "body" in words
            unit += [f"void block_{number}() {{\n"] * block + [f'#line {number + 1} "{page}"\n']
        elif block is not None and line.startswith("```"):
            unit += ["}\n"] * block
            block = None
        elif block is not None:
            unit.append(line)
with open(output, "w") as file:
    file.writelines(unit)
