#!/usr/bin/env python3
"""Turns the shapes and options of cases.json into types: `generate.py cases.json OUTPUT.hpp`.

Each convolution becomes a struct and a line CONV_CASE(id), each modulated one MOD_CASE(id); the including program defines the
two macros, VOLUTE_PARTS and VOLUTE_PART. Everything else of the file is tested by hand, against its entry.
"""
import json
import sys

cases_file, output = sys.argv[1:]
with open(cases_file) as file:
    cases = json.load(file)


def number(value):
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def struct(case, shapes, constants):
    lines = [f"// {case['note']}" if case.get("note") else "", f"struct {case['id']} {{", f'  static constexpr const char* id = "{case["id"]}";']
    lines += [f"  static constexpr auto {s} = volute::shape<{', '.join(map(str, case[s]))}>;" for s in shapes]
    for name, value in constants.items():
        if isinstance(value, list):
            lines.append(f"  static constexpr std::int64_t {name}[]{{{', '.join(map(str, value))}}};")
        else:
            lines.append(f"  static constexpr {'bool' if isinstance(value, bool) else 'double' if isinstance(value, float) else 'std::int64_t'} {name} = {number(value)};")
    return lines + ["};"]


def convolution(case):
    constants = {key: case[key] for key in ("stride", "pad_lo", "pad_hi", "groups", "bias")}
    constants |= {"dilation": case["dil"], "gradients": "dx" in case}
    return struct(case, ("x", "w", "y"), constants) + [f"CONV_CASE({case['id']})"]


def modulated(case):
    options = dict(case.get("options", {}))
    eps = options.pop("eps", 1e-8)
    constants = {
        "demodulate": options.pop("demodulate", True),
        "eps": 1e-8 if isinstance(eps, str) else float(eps),
        "eps_added": isinstance(eps, str) and eps.startswith("added"),
        "causal": options.pop("causal", False),
        "scale_is_mod": options.pop("scale", "").startswith("mod, not"),
        "gradients": "dx" in case,
    }
    if options:
        sys.exit(f"{case['id']}: unknown options {options}")
    return struct(case, ("x", "w", "mod", "y"), constants) + [f"MOD_CASE({case['id']})"]


def section(title, cases, body):
    lines = [f"#if defined({title})"]
    for index, case in enumerate(cases):
        lines += [f"#if {index} % VOLUTE_PARTS == VOLUTE_PART", *body(case), "#endif"]
    return lines + ["#endif  // " + title, ""]


lines = ["// Generated from cases.json by generate.py.", "#include <volute/core/extents.hpp>", "", "#include <cstdint>", ""]
lines += section("CONV_CASE", [c for c in cases if "stride" in c], convolution)
lines += section("MOD_CASE", [c for c in cases if "mod" in c], modulated)
with open(output, "w") as file:
    file.write("\n".join(lines))
