#!/usr/bin/env python3
"""What volute_add_model promises, looked at in the files: `check.py CXX MAIN.o MERGED.o UNMERGED.o DIRECTORY`.

MERGED.o exports the handle's functions and nothing else. Linked with MAIN.o, which uses the same templates, in either order and as a shared
library, no function that the linker may share (global, weak or unique) holds an instruction on ymm or zmm registers, though the program has
both; UNMERGED.o, the AVX-512 variant as compiled, has such functions, or these checks would see nothing. The program, linked by the other
linkers that are there too, gives the same scores in every variant that this processor runs and, where qemu-x86_64 is installed, on a Nehalem
and a Haswell.
"""
import os
import re
import shutil
import subprocess
import sys


def out(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def symbols(file):
    """(name, address, binding, kind) of what is defined."""
    for line in out("readelf", "-sW", file).splitlines():
        words = line.split()
        if len(words) >= 8 and words[0].rstrip(":").isdigit() and words[6] not in ("UND", "ABS"):
            yield words[7], int(words[1], 16), words[4], words[3]


def wide(file):
    """(name, address) of the functions with wide instructions: what is shared may have a local namesake in each variant."""
    function, found = None, {"ymm": set(), "zmm": set()}
    for line in out("objdump", "-d", "--no-show-raw-insn", file).splitlines():
        if m := re.match(r"([0-9a-f]+) <(.*)>:$", line):
            function = m[2], int(m[1], 16)
        elif m := re.search(r"%(ymm|zmm)\d", line):
            found[m[1]].add(function)
    return found


def shared_and_wide(file):
    functions = wide(file)
    shared = {(name, address) for name, address, binding, _ in symbols(file) if binding != "LOCAL"}
    return functions, sorted(shared & (functions["ymm"] | functions["zmm"]))


def main(cxx, main_object, merged, unmerged, directory):
    exported = {(kind, binding) for _, _, binding, kind in symbols(merged) if binding != "LOCAL"}
    assert exported == {("FUNC", "GLOBAL")}, exported
    names = out("c++filt", *(name for name, _, binding, _ in symbols(merged) if binding != "LOCAL")).split("\n")
    assert all(name.startswith("scorer") for name in names if name), names

    _, control = shared_and_wide(unmerged)
    assert len(control) > 10, f"the AVX-512 variant before it is merged should share wide functions, has {control}"

    os.makedirs(directory, exist_ok=True)
    programs = []
    for name, files in (("first", [main_object, merged]), ("last", [merged, main_object]), ("shared", [main_object])):
        program, library = f"{directory}/{name}", f"{directory}/libscorer.so"
        if name == "shared":
            out(cxx, "-shared", "-o", library, merged, "-pthread")
            files = [*files, library, f"-Wl,-rpath,{directory}"]
        out(cxx, "-o", program, *files, "-pthread")
        linkers = [l for l in ("gold", "lld") if shutil.which(f"ld.{l}")] if name == "first" else []
        for linker in linkers:  # they differ in what they keep and in how they find functions that run at the start
            out(cxx, f"-fuse-ld={linker}", "-Wl,--gc-sections", "-o", f"{program}.{linker}", *files, "-pthread")
            programs.append(f"{program}.{linker}")
        functions, bad = shared_and_wide(library if name == "shared" else program)
        assert functions["ymm"] and functions["zmm"], f"{name}: no wide instruction at all"
        assert not bad, f"{name}: shared and wide: {bad}"
        programs.append(program)

    weights = f"{directory}/weights.safetensors"
    out(programs[-1], weights, "write")
    with open("/proc/cpuinfo") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    has = {"baseline": True, "avx2": {"avx2", "fma", "bmi2"} <= flags, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags}
    family = {"baseline": "sse", "avx2": "avx2", "avx512": "avx512"}
    best = [v for v in has if has[v]][-1]
    runs = [([], v, v) for v in has if has[v]] + [([], "", best)]
    if shutil.which("qemu-x86_64"):
        runs += [(["qemu-x86_64", "-cpu", "Nehalem"], "", "baseline"), (["qemu-x86_64", "-cpu", "Haswell"], "", "avx2"),
                 (["qemu-x86_64", "-cpu", "Haswell"], "avx512", "avx2")]
    wanted = None
    for program in programs:
        for emulator, wish, variant in runs:
            said = out(*emulator, program, weights, env={**os.environ, "VOLUTE_ISA": wish})
            isa, remembered, own, *scores = re.match(r"(\S+) compiled for (\S+); own (\S+); (\S+) (\S+) (\S+) (\S+)", said).groups()
            print(program, *emulator, wish, said.strip())
            assert isa == remembered and isa.startswith(family[variant] + "_"), f"{variant} wanted: {said}"
            assert own == "3645", f"the program's own convolution: {said}"
            scores = [float(s) for s in scores]
            wanted = wanted or scores
            assert max(abs(a - b) for a, b in zip(scores, wanted)) < 1e-4, f"{scores}, the baseline variant says {wanted}"


if __name__ == "__main__":
    main(*sys.argv[1:])
