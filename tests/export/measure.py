#!/usr/bin/env python3
"""The whole table: `measure.py FOLDER [REGEX]` reads and writes each network whose name matches, then compiles and compares them, smallest
first. Results are appended to FOLDER/results.jsonl, and docs/networks.md (pages.py) is made from the newest of each network after every one, so a run that
was interrupted goes on where it stopped; AGAIN=1 measures anew. Environment: CXX, CXXFLAGS; COMPILE=0 reads and writes only; SECONDS_OF_COMPILER
and GIGABYTES bound one compilation (300, 8): what needs more is reported as too large."""
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "../../tools/export")]
import pages  # noqa: E402

root = os.path.abspath(os.path.join(here, "../.."))
FLAGS = os.environ.get("CXXFLAGS", "-O2 -march=native").split()
CXX = os.environ.get("CXX", "g++")


SECONDS, GIGABYTES = int(os.environ.get("SECONDS_OF_COMPILER", 300)), int(os.environ.get("GIGABYTES", 8))
LIMITED = """import resource, subprocess, sys
def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (%d, %d))
    resource.setrlimit(resource.RLIMIT_AS, (%d << 30, %d << 30))
p = subprocess.run(sys.argv[1:], preexec_fn=limits)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024)
sys.exit(p.returncode != 0)""" % (SECONDS, SECONDS, GIGABYTES, GIGABYTES)


def command(folder):
    return [CXX, "-std=c++20", *FLAGS, "-fconstexpr-ops-limit=1000000000", "-fconstexpr-loop-limit=10000000", "-I", f"{root}/include",
            "-I", f"{root}/tests", "-I", folder, "-pthread"]


def precompiled(folder):
    """The library's headers, once for all networks. (clang does not look for it: it compiles them with each network.)"""
    header = os.path.join(folder, "headers.hpp")
    with open(header, "w") as f:
        f.write("#include <export/check.hpp>\n")
    subprocess.run([*command(folder), "-x", "c++-header", header, "-o", header + ".gch"], check=True)
    return header


def compiled(header, source, program, folder, flags):
    """Seconds of the processor, megabytes at the peak, and the first error or what bound was met."""
    p = subprocess.run([sys.executable, "-c", LIMITED, *command(folder), *flags, "-include", header, source, "-o", program], capture_output=True, text=True)
    seconds, memory = map(float, p.stdout.split()[-2:])
    if not p.returncode:
        return seconds, memory, {}
    if seconds >= SECONDS - 1:
        return seconds, memory, {"too_large": f"more than {SECONDS} s of the compiler"}
    if "out of memory" in p.stderr or "memory exhausted" in p.stderr:
        return seconds, memory, {"too_large": f"more than {GIGABYTES} GB"}
    return seconds, memory, {"error": next((row[:300] for row in p.stderr.splitlines() if "error" in row), "the compiler stopped")}


def torch_milliseconds(module, given):
    import torch
    torch.set_num_threads(1)
    with torch.no_grad():
        module(*given)
        best = 1e9
        for _ in range(3):
            start = time.perf_counter()
            module(*given)
            best = min(best, (time.perf_counter() - start) * 1e3)
    return best


def read(name, folder):
    """Description, weights and source of a network: the row as far as it is known before the compiler."""
    import generate
    import networks
    import read_networks
    from description import Refused
    row = {"name": name, "flags": FLAGS}
    try:
        d, kept, _, _, project = read_networks.described(name)
    except Refused as e:
        if "cannot trace" in e.what:
            try:
                module, inputs = networks.NETWORKS[name]()
                module.eval()(*inputs)
            except Exception:
                e.what += ": PyTorch cannot run it either"
        return {**row, "refused": e.what, "at": e.line, "operation": e.operation}
    except ImportError as e:
        return {**row, "unavailable": str(e)[:200]}
    except Exception as e:  # a mistake of the exporter's: told, and the others go on
        return {**row, "error": f"{type(e).__name__}: {e}"[:300]}
    read_networks.save(name, d, kept, folder)
    own = os.path.join(folder, name)
    shutil.rmtree(own, ignore_errors=True)
    generate.generate(os.path.join(own, name + ".cpp"), [os.path.join(folder, name + ".json")])
    return {**row, "origin": d["origin"], "steps": len(d["steps"]), "structs": len(project.w.structs),
            "lines": sum(1 for _ in project.w.text.splitlines()), "numbers": sum(math.prod(p["shape"]) for p in d["parameters"].values())}


def measure(row, folder, header):
    """Compiles and runs a network that was read."""
    import networks
    own = os.path.join(folder, row["name"])
    program, optimised = os.path.join(own, "check"), "-O0" not in FLAGS
    flags = [] if optimised or row["name"] not in networks.HEAVY else ["-O1"]
    row["also"] = flags + ["with a trainer"] * (row["name"] in networks.TRAINED)
    row["seconds"], row["megabytes"], bad = compiled(header, os.path.join(own, row["name"] + ".cpp"), program, own, flags)
    if bad:
        return {**row, **bad}
    try:
        p = subprocess.run([program] + ["times"] * optimised, capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:
        return {**row, "error": "ran for more than half an hour"}
    os.remove(program)
    m = re.search(r"^error ([^\s,]+), (\S+) ms", p.stdout, re.M)
    if not m:
        return {**row, "error": f"the program stopped ({p.returncode}): {(p.stdout + p.stderr)[:200]}"}
    row["relative"], row["milliseconds"] = float(m[1]), float(m[2])
    if p.returncode and row["relative"] <= 1e-5:
        return {**row, "error": "its training is not PyTorch's: " + p.stdout.strip().splitlines()[-1]}
    if optimised:
        module, given = networks.NETWORKS[row["name"]]()
        row["torch"] = torch_milliseconds(module.eval(), given)
    return row


def main():
    import networks
    folder = os.path.abspath(sys.argv[1])
    wanted = re.compile(sys.argv[2] if len(sys.argv) > 2 else ".*")
    os.makedirs(folder, exist_ok=True)
    results, newest = os.path.join(folder, "results.jsonl"), {}
    if os.path.exists(results):
        with open(results) as f:
            newest = {row["name"]: row for row in map(json.loads, f)}

    def rows():
        return [newest[n] for n in networks.NETWORKS if n in newest]

    def keep(row):
        print(json.dumps(row), flush=True)
        newest[row["name"]] = row
        with open(results, "a") as f:
            f.write(json.dumps(row) + "\n")
        with open(os.path.join(root, "docs/networks.md"), "w") as f:
            f.write(pages.networks(rows(), f"{CXX} {' '.join(FLAGS)}", f"{SECONDS} s or {GIGABYTES} GB"))

    names = [n for n in networks.NETWORKS if wanted.fullmatch(n)]
    if not os.environ.get("AGAIN"):
        names = [n for n in names if not any(k in newest.get(n, {}) for k in pages.DONE) or newest[n].get("flags") != FLAGS]
    for name in names:
        if os.environ.get("AGAIN") or "steps" not in newest.get(name, {}) or not os.path.exists(os.path.join(folder, name, name + ".cpp")):
            keep(read(name, folder))
    if os.environ.get("COMPILE") != "0":
        known = ("name", "origin", "steps", "structs", "lines", "numbers")
        header = precompiled(folder)
        left = [newest[n] for n in names if "steps" in newest[n]]
        for row in sorted(left, key=lambda r: r["steps"]):
            keep(measure({"flags": FLAGS, **{k: row[k] for k in known}}, folder, header))
    text = pages.headers(folder)
    if text:
        with open(os.path.join(root, "docs/exported_headers.md"), "w") as f:
            f.write(text)
    wrong = [r["name"] for r in rows() if "error" in r or not r.get("relative", 0) <= 1e-5]
    print(f"{len(rows())} networks, not as PyTorch: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
