#!/usr/bin/env python3
"""What a program costs the compiler, in counts that do not depend on the machine: `check.py CLANG [--planted]`, `check.py CLANG --update`.

program.cpp is compiled once; the counts (clang's -print-stats, names of symbols, steps of the longest constant evaluation) may exceed those in
baseline.json by 3 %. Whoever means to spend more writes the new ones (--update) and says why in the commit. They hold for one release of clang and
of the libraries; with others nothing is compared. --planted adds a regression that must be found.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
BASELINE = f"{here}/baseline.json"
COUNTS = {"class template specializations": r"(\d+) ClassTemplateSpecialization decls",
          "functions": r"(\d+) Function decls",
          "member functions": r"(\d+) CXXMethod decls",
          "declarations": r"(\d+) decls total",
          "expressions": r"(\d+) stmts/exprs total",
          "types": r"(\d+) types total"}
MARGIN = 1.03
ENOUGH = 100_000_000  # what programs are told to allow


def compile(clang, steps, *options):
    """The counts, or None if it does not compile so, because an evaluation takes more steps."""
    with tempfile.TemporaryDirectory() as directory:
        command = [clang, "-std=c++20", "-O0", "-march=x86-64-v3", f"-fconstexpr-steps={steps}", f"-I{here}/../../include", *options,
                   "-Xclang", "-print-stats", "-c", f"{here}/program.cpp", "-o", f"{directory}/program.o"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            if steps < ENOUGH:
                return None
            sys.exit(done.stdout[:3000])
        counts = {name: int(re.search(pattern, done.stdout)[1]) for name, pattern in COUNTS.items()}
        names = subprocess.run(["nm", "-P", f"{directory}/program.o"], stdout=subprocess.PIPE, text=True, check=True).stdout
        counts["bytes of symbols"] = sum(len(line.split()[0]) for line in names.splitlines())
        return counts


def versions(clang):
    macros = "#include <xsimd/xsimd.hpp>\n#include <xtensor/xtensor_config.hpp>\n#include <boost/version.hpp>\n"
    text = subprocess.run([clang, "-std=c++20", "-dM", "-E", "-x", "c++", "-"], input=macros, stdout=subprocess.PIPE, text=True).stdout
    wanted = ("__clang_version__", "__GLIBCXX__", "XSIMD_VERSION_MAJOR", "XSIMD_VERSION_MINOR", "XTENSOR_VERSION_MINOR", "BOOST_VERSION")
    return {name: value.strip('"').strip() for name, value in re.findall(r"#define (\w+) (.*)", text) if name in wanted}


def update(clang):
    counts = compile(clang, ENOUGH)
    low, high = 10_000, 10_000_000  # steps that are too few, that suffice
    while high > low * 1.02:
        middle = int((low * high) ** 0.5)
        low, high = (low, middle) if compile(clang, middle) else (middle, high)
    counts["steps of the longest evaluation"] = high
    with open(BASELINE, "w") as out:
        json.dump({"versions": versions(clang), "counts": counts}, out, indent=1)
        out.write("\n")


def main(clang, option=""):
    if option == "--update":
        return update(clang)
    with open(BASELINE) as file:
        baseline = json.load(file)
    if baseline["versions"] != versions(clang):
        return print("other releases of clang or of the libraries: nothing to compare", versions(clang))
    wanted = baseline["counts"]
    steps = int(wanted.pop("steps of the longest evaluation") * MARGIN)
    planted = ["-DVOLUTE_PLANTED"] if option == "--planted" else []
    counts = compile(clang, steps, *planted)
    if counts is None:
        compile(clang, ENOUGH, *planted)  # ends with the error if it is another one
        sys.exit(f"a constant evaluation takes more than {steps} steps, {MARGIN:.2f} of the baseline; see tests/cost/check.py")
    for name, count in counts.items():
        print(f"{name}: {count}, {count / wanted[name]:.3f} of the baseline")
    more = [name for name, count in counts.items() if count > wanted[name] * MARGIN]
    if more:
        sys.exit(f"more than {MARGIN:.2f} of the baseline: {', '.join(more)}; see tests/cost/check.py")
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
