#!/usr/bin/env python3
"""The first step of the exporter for networks of the table: `read_networks.py FOLDER REGEX...` writes NAME.json, with PyTorch's results for
parameters and inputs from the formula, and NAME.safetensors where constants were folded. Wants PyTorch and the packages of the networks."""
import copy
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "../../tools/export")]
import torch  # noqa: E402

import description  # noqa: E402
import formula  # noqa: E402
import networks  # noqa: E402
import project  # noqa: E402
import read  # noqa: E402
import volute_export  # noqa: E402


def training(module, given, lr):
    """Twenty steps of Adam on the formula's inputs and labels: what is needed to repeat them, and the losses."""
    module = copy.deepcopy(module).train()
    optimiser = torch.optim.Adam(module.parameters(), lr=lr)
    losses = []
    for _ in range(20):
        result = module(*given)
        extents, classes = [result.shape[0], *result.shape[2:]], result.shape[1]
        labels = (torch.arange(torch.Size(extents).numel()) // 5 % classes).reshape(extents)
        loss = torch.nn.functional.cross_entropy(result, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(f"{loss.item():.9g}"))
    return {"optimiser": "adam", "lr": lr, "labels": extents, "classes": classes, "losses": losses}


def described(name):
    """Description with "expected", tensors for a file, and the module with its inputs."""
    module, inputs = networks.NETWORKS[name]()
    module.eval()
    d, tensors, folded = read.read(module, inputs)
    if d["notes"] != networks.NOTES.get(name, d["notes"]):
        raise ValueError(f"its header says {d['notes']}")
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
    own = {path: torch.view_as_real(p) if p.is_complex() else p for path, p in own.items()}
    kept, filled = {}, set()
    with torch.no_grad():
        for path, entry in d["parameters"].items():
            if formula.from_formula(path, entry["learned"]) and own[path].data_ptr() not in filled:
                filled.add(own[path].data_ptr())
                own[path].copy_(torch.from_numpy(formula.parameter(path, entry["shape"]).copy()))
            else:  # not from the formula, or tied to one that was: as it is
                kept[path] = tensors[path]
        given = [torch.from_numpy(formula.input_values(i["name"], i["shape"], i["type"]).copy()) for i in d["inputs"]]
        results = [r for r in torch.utils._pytree.tree_leaves(module(*given)) if isinstance(r, torch.Tensor)]
    d["expected"] = []
    for r in results:
        r = r.detach().float().reshape(-1)
        sizes = r[r.isfinite()].double().abs()
        d["expected"].append({"size": r.numel(), "largest": sizes.max().item(), "mean_size": sizes.mean().item(),
                              "values": [float(f"{r[p].item():.9g}") for p in formula.places(r.numel())]})
    if name in networks.TRAINED:
        d["training"] = training(module, given, networks.TRAINED[name])
    p = project.Project(d)
    kept.update({path: folded[c] for path, c in p.w.folded.items()})
    return d, kept, module, given, p


def save(name, d, kept, folder):
    description.dump(d, os.path.join(folder, name + ".json"))
    if kept:
        def packed(t):
            t = volute_export.smallest(t.detach()).contiguous()
            return read.TYPES[t.dtype], list(t.shape), t.reshape(-1).view(torch.uint8).numpy().tobytes()
        description.write_safetensors(os.path.join(folder, name + ".safetensors"), {k: packed(t) for k, t in kept.items()})


if __name__ == "__main__":
    for name in networks.NETWORKS:
        if any(re.fullmatch(r, name) for r in sys.argv[2:]):
            d, kept, *_ = described(name)
            save(name, d, kept, sys.argv[1])
            print(name, os.path.getsize(os.path.join(sys.argv[1], name + ".json")), "bytes,", len(kept), "tensors kept")
