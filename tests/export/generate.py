#!/usr/bin/env python3
"""The second step of the exporter for networks that are tested: `generate.py PROGRAM.cpp NETWORK.json...` writes their headers beside PROGRAM.cpp,
which compares them with PyTorch's results, as the descriptions have them under "expected". Several in one program: most of a small one's
compile time is the library's headers. Plain Python."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
import description  # noqa: E402
from project import Project  # noqa: E402


def number(v, suffix=""):
    text = repr(float(v))
    return text + suffix if text[-1].isdigit() else {"inf": "INFINITY", "-inf": "-INFINITY"}.get(text, "NAN")


def comparison(path, folder):
    """The header's name, and the calls that compare its model, and its training where the description has losses."""
    d = description.load(path)
    d["name"] = os.path.basename(path).removesuffix(".json") + "_net"  # names of namespaces must differ
    project = Project(d)
    project.write(folder)
    inputs = ", ".join(f'{{"{i["name"]}", {n}, {"false" if i["type"] == "F32" else "true"}}}'
                       for i, n in zip(d["inputs"], project.sizes([i["shape"] for i in d["inputs"]])))
    results = ",\n     ".join(f'{{{e["size"]}, {number(e["largest"])}, {number(e["mean_size"])}, {{{", ".join(number(v, "f") for v in e["values"])}}}}}'
                              for e in d["expected"])
    constants = path.removesuffix(".json") + ".safetensors"
    constants = os.path.abspath(constants) if os.path.exists(constants) else ""
    calls = f'''  std::printf("{os.path.basename(path)}\\n");
  wrong += export_check::compare<{project.ns}::model>("{constants}", {{{inputs}}},
    {{{results}}},
    {d.get("bound", 1e-5)!r}, runs) != 0;
'''
    if "training" in d:
        t, nodes = d["training"], [(i["name"], i["shape"]) for i in d["inputs"]] + [("labels", d["training"]["labels"])]
        nodes = ", ".join(f'volute::input<{", ".join([chr(34) + n + chr(34), *map(str, s)])}>' for n, s in nodes)
        calls += f'''  using {project.ns}_trainer = volute::trainer<{project.ns}::{project.w.root}, volute::nn::cross_entropy<>, volute::{t["optimiser"]},
    {nodes}>;
  wrong += export_check::train<{project.ns}_trainer>("{constants}", {t["lr"]!r}, {{{inputs}}}, {project.sizes([t["labels"]])[0]}, {t["classes"]},
    {{{", ".join(map(repr, t["losses"]))}}}) != 0;
'''
    return project.ns, calls


def generate(program, paths):
    folder = os.path.dirname(program) or "."
    os.makedirs(folder, exist_ok=True)
    made = [comparison(p, folder) for p in paths]
    with open(program, "w") as f:
        f.write("".join(f'#include "{ns}.hpp"\n' for ns, _ in made) + f'''
#include <export/check.hpp>

int main(int count, char**) {{
  const int runs = count > 1 ? 3 : 1;
  int wrong = 0;
{"".join(call for _, call in made)}  return wrong;
}}
''')


if __name__ == "__main__":
    generate(sys.argv[1], sys.argv[2:])
