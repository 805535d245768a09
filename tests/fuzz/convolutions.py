#!/usr/bin/env python3
"""Random convolutions in every family that can compute them: `convolutions.py [SEED [COUNT]] [-- FLAGS]`.

Writes, compiles and runs a program for each ten geometries (20 s), with g++ -O1 -march=native and what follows `--`. The direct families
get integers, so that each bit is compared, with epilogues and threads; minimal filtering normal numbers, whose largest errors are printed,
in units of the largest value. The exit code is not 0 if anything differs (minimal filtering: by more than 4e-6, the filter's adjoint 6e-6)."""
import argparse
import os
import random
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
CORRELATIONS = "channels rows width planes in_place flat pointwise".split()
ADJOINTS = "outputs inputs row_outputs row_inputs pixels planes in_place flat_outputs flat_inputs pointwise".split()
LARGEST_RESULT = 200_000  # elements: the reference is a plain loop


def braces(values):
    return "{%s}" % ", ".join(map(str, values))


def geometry(rng, minimal):
    """The arguments of conv3d_test::make: one that fits, with channels and extents around the lanes of any processor."""
    while True:
        kernel = [rng.choice([1, 2, 3, 3, 3, 5] if minimal else [1, 1, 2, 3, 3, 3, 4, 5, 7]) for _ in range(3)]
        if minimal and max(kernel) == 1:
            continue
        stride = [1 if minimal else rng.choice([1, 1, 1, 2, 3]) for _ in range(3)]
        dilation = [rng.choice([1, 1, 1, 2] if minimal else [1, 1, 1, 1, 2, 3]) for _ in range(3)]
        if not minimal and rng.random() < 0.15:  # windows that do not overlap
            kernel = stride = rng.choice([[1, 1, 1], [2, 2, 2], [1, 2, 2]])
            dilation = [1, 1, 1]
        channels = [1, 3, 5, 8, 12, 16, 17, 24, 32] if minimal else [1, 1, 2, 3, 4, 7, 8, 13, 16, 17, 24, 32, 33, 48]
        groups = rng.choice([1, 1, 1, 2, 3])
        inputs, outputs = groups * rng.choice(channels), groups * rng.choice(channels)
        if not minimal and rng.random() < 0.15:  # depthwise
            groups = inputs
            outputs = inputs * rng.choice([1, 1, 2])
        extents, low, high = [], [], []
        for k, d in zip(kernel, dilation):
            span = d * (k - 1) + 1
            low.append(rng.choice([0, span // 2, rng.randint(0, span - 1)]))
            high.append(rng.choice([0, span // 2, rng.randint(0, span - 1)]))
            extents.append(max(1, span - low[-1] - high[-1]) + rng.choice([0, 1, 2, 4, 5, 7, 9, 13, 15, 16, 20, 33]))
        batch = rng.choice([1, 1, 2, 3])
        voxels = extents[0] * extents[1] * extents[2]
        products = batch * voxels * inputs // groups * outputs * kernel[0] * kernel[1] * kernel[2]
        if batch * voxels * max(inputs, outputs) <= LARGEST_RESULT and products <= 20_000_000:
            return f"{batch}, {inputs}, {outputs}, " + ", ".join(map(braces, (extents, kernel, stride, low, high, dilation))) + f", {groups}"


def direct(rng):
    g = geometry(rng, False)
    families = [f"kernels::conv_family::{rng.choice(CORRELATIONS)}" for _ in range(2)] + [f"kernels::weights_family::{rng.choice(ADJOINTS)}"]
    of = lambda kind: f"of<{kind}, g>({', '.join(families)})"
    kind = rng.choice(["float", "float", "double"])
    name = f"{g}: {', '.join(f.split('::')[-1] for f in families)}"
    return (f'{{ constexpr conv_geometry g = make({g}); check<{kind}, g, of<{kind}, g>({", ".join(families)})>("{kind} {name}"); '
            f'check_epilogue<g, {of("float")}>("{name}"); check_bits<g, {of("float")}>(); }}')


def minimal(rng):
    return f"check_minimal<asked(make({(g := geometry(rng, True))}))>(\"{g}\");"


def program(rng, count):
    """Half of them direct."""
    lines = [f'TEST_CASE("{i}") {{ {(minimal if i % 2 else direct)(rng)} }}' for i in range(count)]
    return ('#include "kernels_conv3d_minimal.hpp"\n\n#include <cstdio>\n\nusing namespace conv3d_test;\n' + "\n".join(lines) +
            '\nTEST_CASE("errors") { std::printf("worst %.2e %.2e\\n", largest_error[0], largest_error[1]); }\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("count", nargs="?", type=int, default=100)
    parser.add_argument("flags", nargs="*", help="for the compiler, after --: another CXX from the environment, other options")
    given = parser.parse_args()
    folder = f"{ROOT}/build/fuzz"
    os.makedirs(folder, exist_ok=True)
    compiler = [os.environ.get("CXX", "g++"), "-std=c++20", *(given.flags or ["-O1", "-march=native"])]
    limits = ["-fconstexpr-steps=1000000000"] if "clang" in compiler[0] else ["-fconstexpr-ops-limit=1000000000"]
    includes = ["-I", f"{ROOT}/include", "-I", f"{ROOT}/tests/unit", "-I", f"{ROOT}/tests"]
    subprocess.run([*compiler, *includes, "-c", f"{ROOT}/tests/main.cpp", "-o", f"{folder}/main.o"], check=True)
    bad, worst = [], [0.0, 0.0]
    programs = (given.count + 9) // 10
    for k in range(programs):
        seed = given.seed * 1000 + k
        source = f"{folder}/convolutions-{seed}.cpp"
        with open(source, "w", encoding="utf-8") as file:
            file.write(program(random.Random(seed), min(10, given.count - 10 * k)))
        subprocess.run([*compiler, *limits, *includes, source, f"{folder}/main.o", "-pthread", "-o", source[:-4]], check=True)
        ran = subprocess.run([source[:-4]], capture_output=True, text=True)
        if found := re.search(r"worst (\S+) (\S+)", ran.stdout):
            worst = [max(w, float(f)) for w, f in zip(worst, found.groups())]
        if ran.returncode != 0:
            bad.append(source)
            print(ran.stdout)
        else:
            for name in (source, source[:-4]):
                os.remove(name)
        print(f"\r{k + 1}/{programs}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"seed {given.seed}: {given.count} convolutions, {len(bad)} programs with differences {bad or ''}; largest errors of minimal filtering: "
          f"{worst[0]:.2e} forward and data, {worst[1]:.2e} filter's adjoint")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
