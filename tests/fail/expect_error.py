#!/usr/bin/env python3
"""Tests of programs that must not compile.

As a compiler launcher, `expect_error.py ROOT COMPILER ARGUMENTS...`: compiles the corrected program (VOLUTE_CONTROL defined), then the
wrong one, and keeps what the compiler said of each beside the object asked for, in OBJECT.json. Neither becomes code, which would take
most of the time: the object is an empty file. With --wrong-only before ROOT the corrected program is left out: a stage for a second compiler
need not read it again.

As a test, `expect_error.py --judge SOURCE OBJECT`: the control compiled silently; the wrong program did not compile, gave one
error, whose line holds every text of the source's `// expect: ` lines (`// expect-gcc: ` and `// expect-clang: ` for one compiler
only), in fewer than 15 lines and 2560 bytes, without the excerpts of the source that compilers print around it, which differ
from release to release; `// within: LINES BYTES` raises that where the mistake shows inside another library. Paths count from ROOT, so that the place of a checkout does not matter.
"""
import json
import os
import re
import subprocess
import sys

MAX_LINES, MAX_BYTES = 15, 2560
WHOLE = "<volute/volute.hpp>"
# How g++ says where a header was read that it had precompiled; else it would name the program.
PRECOMPILED = re.compile(r"from \S*cmake_pch\.hxx:\d+,\n +from <command-line>:")
EXCERPT = r"\s*(\d+|\++)?\s*\|"  # a line of the source, what is underlined in it, what is put there


def run(command, root):
    done = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace").replace(root + "/", "")


def launch(root, compiler, *arguments, wrong_only=False):
    arguments = ["-fsyntax-only", *(a for a in arguments if a != "-c")]  # clang 23 warns of a -c beside it
    object_file = arguments[arguments.index("-o") + 1]
    record = object_file + ".json"
    if os.path.exists(record):
        os.remove(record)
    source = next(a for a in arguments if a.endswith(".cpp"))
    with open(source) as file:
        text = file.read()
    before_headers = "#define VOLUTE_" in text  # what headers that are compiled already would not see
    whole = arguments if before_headers else [a.replace("/third_party.dir/", "/precompiled.dir/") for a in arguments]
    status, control = (0, "") if wrong_only else run([compiler, *whole, "-DVOLUTE_CONTROL"], root)
    if status:
        print(control)
        return status
    # A program that includes every header reads them precompiled too: g++ 3 s less, clang 2. One that includes fewer must not see the others,
    # among whose names compilers look for what it might have meant.
    arguments = list(whole if f"#include {WHOLE}" in text else arguments)
    for option in ("-o", "-MF", "-MT"):  # the wrong program leaves no dependencies
        if option in arguments:
            del arguments[arguments.index(option) : arguments.index(option) + 2]
    arguments = [a for a in arguments if a not in ("-MD", "-Werror")]
    status, wrong = run([compiler, *arguments], root)
    wrong = PRECOMPILED.sub(f"from {source.replace(root + '/', '')}:", wrong)
    clang = "clang" in run([compiler, "--version"], root)[1]
    with open(record, "w") as out:
        json.dump({"compiler": "clang" if clang else "gcc", "control": control, "status": status, "output": wrong}, out, indent=1)
    open(object_file, "w").close()
    return 0


def judge(source, object_file):
    try:
        with open(object_file + ".json") as file:
            record = json.load(file)
    except OSError:
        return "the control does not compile (see the build's output)"
    with open(source) as file:
        lines = file.read().splitlines()
    print(record["output"])
    message = [line for line in record["output"].splitlines() if not re.match(EXCERPT, line)]
    size = sum(len(line.encode()) + 1 for line in message)
    print(f"({len(message)} lines, {size} bytes)")
    expected = [m[1] for m in (re.match(rf"// expect(?:-{record['compiler']})?: (.*\S)", line) for line in lines) if m]
    if not expected:
        return "the file has no `// expect: ` line"
    if record["control"]:
        return f"the control compiles, but not silently:\n{record['control']}"
    if record["status"] == 0:
        return "the mistake compiles"
    errors = [line for line in message if re.search(r"\berror:", line)]
    missing = [text for text in expected if text not in "".join(errors[:1])]
    if missing:
        return f"the first error lacks {missing}"
    if len(errors) != 1:
        return f"{len(errors)} errors, wanted one"
    within = [m for m in (re.match(r"// within: (\d+) (\d+)", line) for line in lines) if m]
    most_lines, most_bytes = (int(n) for n in within[0].groups()) if within else (MAX_LINES, MAX_BYTES)
    if len(message) >= most_lines or size >= most_bytes:
        return f"too long: wanted fewer than {most_lines} lines and {most_bytes} bytes"
    return None


if __name__ == "__main__":
    if sys.argv[1] == "--wrong-only":
        sys.exit(launch(*sys.argv[2:], wrong_only=True))
    if sys.argv[1] != "--judge":
        sys.exit(launch(*sys.argv[1:]))
    complaint = judge(*sys.argv[2:])
    if complaint:
        sys.exit(f"FAILED: {complaint}")
