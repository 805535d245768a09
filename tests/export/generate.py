#!/usr/bin/env python3
"""The second step of the exporter for a network that is tested: `generate.py NETWORK.json FOLDER` writes its header and NETWORK.cpp, a program that
compares it with PyTorch's results, which the description has under "expected". Plain Python."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
import description  # noqa: E402
from project import Project  # noqa: E402


def generate(path, folder):
    d = description.load(path)
    project = Project(d)
    project.write(folder)
    ns = project.ns
    inputs = ", ".join(f'{{"{i["name"]}", {n}, {"false" if i["type"] == "F32" else "true"}}}'
                       for i, n in zip(d["inputs"], project.sizes([i["shape"] for i in d["inputs"]])))
    def number(v):
        text = repr(float(v))
        return text if text[-1].isdigit() else {"inf": "INFINITY", "-inf": "-INFINITY"}.get(text, "NAN")
    results = ",\n     ".join(f'{{{e["size"]}, {number(e["largest"])}, {number(e["mean_size"])}, {{{", ".join(number(v) + "f" for v in e["values"])}}}}}' for e in d["expected"])
    constants = path.removesuffix(".json") + ".safetensors"
    constants = os.path.abspath(constants) if os.path.exists(constants) else ""
    stem = os.path.basename(path).removesuffix(".json")
    with open(os.path.join(folder, stem + ".cpp"), "w") as f:
        f.write(f'''#include "{ns}.hpp"

#include <export/check.hpp>

int main(int count, char**) {{
  return export_check::compare<{ns}::model>("{constants}", {{{inputs}}},
    {{{results}}},
    {d.get("bound", 1e-5)!r}, count > 1 ? 3 : 1);
}}
''')


if __name__ == "__main__":
    generate(sys.argv[1], sys.argv[2])
