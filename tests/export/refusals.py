#!/usr/bin/env python3
"""What the exporter refuses to write: each case changes one thing in a description that is written otherwise. Plain Python."""
import copy
import os
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
from description import Refused  # noqa: E402
from project import Project  # noqa: E402


def network(op, arguments, type="F32"):
    return {"name": "Net", "origin": "tests.Net", "inputs": [{"name": "x", "shape": [1, 2, 4, 4, 4], "type": "F32", "id": "1"}],
            "scopes": [{"parent": -1, "path": "", "class": "tests.Net", "name": ""},
                       {"parent": 0, "path": "act", "class": "torch.nn.modules.activation.Softplus", "name": ""}],
            "steps": [{"op": op, "in": {"self": "%1", **arguments}, "out": [["2", [1, 2, 4, 4, 4], type]], "scope": 1, "line": 0}],
            "parameters": {}, "constants": {}, "results": "%2", "lines": ["net.py:7: return self.act(x)"], "notes": []}


good = network("aten.softplus.default", {"beta": 1, "threshold": 20})
cases = [
    (network("aten.softplus.default", {"beta": 2, "threshold": 20}), "beta = 2 is not supported"),
    (network("aten.softplus.default", {"beta": 1, "threshold": 20, "new": 0}), "does not know the argument new"),
    (network("aten.cumsum.default", {"dim": 1}), "has no translation to C++"),
    (network("aten.relu.default", {}, "F64"), "computes in F64"),
    (network("aten.to.dtype", {"dtype": "I64"}, "I64"), "makes whole numbers of real ones"),
    (network("aten.div.Tensor_mode", {"other": 2, "rounding_mode": "trunc"}), "rounding_mode = trunc is not supported"),
    (network("aten.elu.default", {"alpha": 1, "scale": 1.5, "input_scale": 1}), "scale = 1.5 is not supported"),
]
failed = 0
with tempfile.TemporaryDirectory() as folder:
    Project(copy.deepcopy(good)).write(os.path.join(folder, "good"))
    for description, text in cases:
        target = os.path.join(folder, "refused")
        try:
            Project(description).write(target)
            said = "nothing"
        except Refused as e:
            said = str(e)
        wanted = [text, "module:    act", "source:    net.py:7: return self.act(x)", "operation: " + description["steps"][0]["op"]]
        if any(w not in said for w in wanted) or os.path.exists(target):
            failed += 1
            print(f"expected\n{wanted}\ngot\n{said}\n")
print(f"{len(cases) - failed} of {len(cases)} refused as they should be")
sys.exit(failed > 0)
