#!/usr/bin/env python3
"""The whole table: `measure.py FOLDER [REGEX]` reads, writes, compiles and compares each network whose name matches, and writes
docs/networks.md from all results in FOLDER/results.jsonl (the newest of each network). Environment: CXX, CXXFLAGS; COMPILE=0 reads and writes
only."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
root = os.path.abspath(os.path.join(here, "../.."))
FLAGS = os.environ.get("CXXFLAGS", "-O2 -march=native").split()
CXX = os.environ.get("CXX", "g++")


def compiled(source, program, folder):
    """Seconds of the processor, megabytes at the peak, and the first error."""
    command = [CXX, "-std=c++20", *FLAGS, "-fconstexpr-ops-limit=1000000000", "-fconstexpr-loop-limit=10000000", "-I", f"{root}/include",
               "-I", f"{root}/tests", "-I", folder, source, "-o", program, "-pthread"]
    code = ("import resource, subprocess, sys; p = subprocess.run(sys.argv[1:]); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
            "print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024); sys.exit(p.returncode)")
    try:
        p = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:
        return 1800.0, 0, "more than 30 minutes"
    seconds, memory = map(float, p.stdout.split()[-2:])
    error = next((row[:300] for row in p.stderr.splitlines() if "error" in row), "") if p.returncode else ""
    return seconds, memory, error or ("the compiler stopped" if p.returncode else "")


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


def measure(name, folder):
    import generate
    import read_networks
    from description import Refused
    row = {"name": name}
    try:
        d, kept, module, given, project = read_networks.described(name)
    except Refused as e:
        return {**row, "refused": e.what, "at": e.line, "operation": e.operation}
    except ImportError as e:
        return {**row, "unavailable": str(e)[:200]}
    read_networks.save(name, d, kept, folder)
    own = os.path.join(folder, name)
    shutil.rmtree(own, ignore_errors=True)
    generate.generate(os.path.join(own, name + ".cpp"), [os.path.join(folder, name + ".json")])
    row.update(origin=d["origin"], steps=len(d["steps"]), lines=sum(1 for _ in project.w.text.splitlines()), structs=len(project.w.structs),
               numbers=sum(__import__("math").prod(p["shape"]) for p in d["parameters"].values()))
    if os.environ.get("COMPILE") == "0":
        return row
    program = os.path.join(own, "check")
    row["seconds"], row["megabytes"], error = compiled(os.path.join(own, name + ".cpp"), program, own)
    if error:
        return {**row, "error": error}
    try:
        p = subprocess.run([program] + (["times"] if "-O0" not in FLAGS else []), capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return {**row, "error": "ran for more than 15 minutes"}
    m = re.search(r"^error ([^\s,]+), (\S+) ms", p.stdout, re.M)
    if not m:
        return {**row, "error": f"the program stopped ({p.returncode}): {(p.stdout + p.stderr)[:200]}"}
    row["relative"], row["milliseconds"] = float(m[1]), float(m[2])
    if "-O0" not in FLAGS:
        row["torch"] = torch_milliseconds(module, given)
    os.remove(program)
    return row


def page(rows):
    """docs/networks.md."""
    good = [r for r in rows if "relative" in r]
    right = [r for r in good if r["relative"] <= 1e-5]
    refused = [r for r in rows if "refused" in r]
    written = [r for r in rows if "steps" in r and "relative" not in r and "error" not in r]
    out = ["# Networks", "",
           "Public networks, exported from PyTorch by [tools/export](from_pytorch.md), with parameters and inputs from a formula; sizes are reduced",
           "(`tests/export/networks.py`). `bash tests/export/run [REGEX]` makes this page. Error: the largest difference from PyTorch's result, over the",
           f"largest number. Compiled with {CXX} {' '.join(FLAGS)}; times are those of one thread, small sizes, whatever else the machine did.", "",
           f"{len(rows)} networks: {len(good)} exported and compiled, of these {len(right)} within 1e-5; "
           f"{len(written)} written and not compiled here; {len(refused)} refused with a reason.", "",
           "| network | parameters | operations | structs | lines | compile s | MB | error | PyTorch ms | Volute ms |",
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for r in rows:
        if "relative" in r:
            out.append(f"| {r['name']} | {r['numbers']:,} | {r['steps']} | {r['structs']} | {r['lines']} | {r['seconds']:.0f} | {r['megabytes']:.0f} | "
                       f"{r['relative']:.1e} | " + (f"{r['torch']:.2f} | {r['milliseconds']:.2f} |" if "torch" in r else "| |"))
    if written:
        out += ["", "Written, and not compiled when this page was made: " + ", ".join(f"{r['name']} ({r['lines']} lines)" for r in written) + "."]
    failed = [r for r in rows if "error" in r]
    if failed:
        out += ["", "## Written, and not compiled or run", "", "| network | what was said |", "|---|---|"]
        out += [f"| {r['name']} | {r['error'].replace('|', '/').replace(root + '/', '')[:160]} |" for r in failed]
    if refused:
        out += ["", "## Refused", "", "| network | why | where |", "|---|---|---|"]
        out += [f"| {r['name']} | {(r['operation'] + ' ' if r['operation'] else '') + r['refused']} | `{r['at'].replace('|', '/').replace(root + '/', '')}` |" for r in refused]
    missing = [r for r in rows if "unavailable" in r]
    if missing:
        out += ["", "Not measured, because a package is missing: " + ", ".join(r["name"] for r in missing) + "."]
    return "\n".join(out) + "\n"


def main():
    import networks
    folder = os.path.abspath(sys.argv[1])
    wanted = re.compile(sys.argv[2] if len(sys.argv) > 2 else ".*")
    os.makedirs(folder, exist_ok=True)
    results = os.path.join(folder, "results.jsonl")
    for name in networks.NETWORKS:
        if not wanted.fullmatch(name):
            continue
        try:
            row = measure(name, folder)
        except Exception as e:  # a mistake of the exporter's: told, and the others go on
            row = {"name": name, "error": f"{type(e).__name__}: {e}"[:300]}
        print(json.dumps(row), flush=True)
        with open(results, "a") as f:
            f.write(json.dumps(row) + "\n")
    newest = {}
    with open(results) as f:
        for line in f:
            row = json.loads(line)
            newest[row["name"]] = row
    rows = [newest[n] for n in networks.NETWORKS if n in newest]
    with open(os.path.join(root, "docs/networks.md"), "w") as f:
        f.write(page(rows))
    wrong = [r["name"] for r in rows if r.get("relative", 0) > 1e-5 or "error" in r]
    print(f"{len(rows)} networks, not as PyTorch: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
