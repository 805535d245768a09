#!/usr/bin/env python3
"""From PyTorch to C++:

  volute_export.py my_package:make_net --input 1,1,96,96,96 -o net/      make_net() gives the network, with its weights
  volute_export.py --write net/network.json -o net/                      the second step alone, without PyTorch

or, from Python:  import volute_export; volute_export.export(net, torch.randn(1, 1, 96, 96, 96), "net/")

Writes into the folder: a header of structs, a handle, a check against PyTorch's result, CMakeLists.txt, the weights as safetensors, and the
description that stands between the two steps (network.json). What cannot be translated is refused before anything is written."""
import argparse
import importlib
import inspect
import os
import pickle
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import description as descriptions  # noqa: E402
from description import Refused  # noqa: E402


def export(module, inputs, folder, kwargs=None, name=None):
    """Exports a torch.nn.Module, in inference, for inputs of these shapes. Gives the name of the files; raises Refused."""
    import torch

    from project import Project
    from read import TYPES, inference, read

    inputs = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
    described, tensors, folded = read(module, inputs, kwargs, name)
    project = Project(described)
    def run(gradients):
        """On copies: it may change its inputs."""
        copies = torch.utils._pytree.tree_map(lambda t: t.clone() if isinstance(t, torch.Tensor) else t, (inputs, kwargs or {}))
        with torch.set_grad_enabled(gradients), inference(module):
            return module(*copies[0], **copies[1])
    try:
        results = run(False)
    except RuntimeError:  # it computes gradients itself
        results = run(True)
    results = [r for r in torch.utils._pytree.tree_leaves(results) if isinstance(r, torch.Tensor)]
    given = [t for t in torch.utils._pytree.tree_leaves((inputs, kwargs or {})) if isinstance(t, torch.Tensor)]

    def packed(t, type=None):
        t = t.detach().to("cpu", type or t.dtype).contiguous()
        return TYPES[t.dtype], list(t.shape), t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
    check = {f"input.{i['name']}": packed(t, torch.float32) for i, t in zip(described["inputs"], given)}
    check.update({f"result.{k}": packed(r, torch.float32) for k, r in enumerate(results)})
    ns = project.write(folder)
    at = lambda file: os.path.join(folder, file)
    descriptions.dump(described, at("network.json"))
    descriptions.write_safetensors(at(f"{ns}.safetensors"), {p: packed(tensors[p]) for p in described["parameters"]}, {"format": "pt"})
    if project.w.folded:
        descriptions.write_safetensors(at(f"{ns}.constants.safetensors"), {p: packed(smallest(folded[c])) for p, c in project.w.folded.items()})
    descriptions.write_safetensors(at(f"{ns}_check.safetensors"), check)
    return ns


def smallest(t):
    """Whole numbers in the smallest type that has them."""
    import torch
    if t.dtype == torch.bool:
        return t.to(torch.uint8)
    if t.numel() and (not t.dtype.is_floating_point or bool((t == t.round()).all()) and bool(t.abs().max() < 2**24)):
        low, high = int(t.min()), int(t.max())
        for dtype, least, most in ((torch.uint8, 0, 255), (torch.int16, -32768, 32767), (torch.int32, -2**31, 2**31 - 1)):
            if least <= low and high <= most:
                return t.to(dtype)
    return t.float() if t.dtype == torch.float64 else t


def tensor(text, generator):
    """1,1,96,96,96 is normal numbers, int:1,4 zeros of whole numbers."""
    import torch
    kind, _, extents = text.rpartition(":")
    if kind not in ("", "int") or not re.fullmatch(r"\d*(,\d+)*,?", extents):
        raise Refused(f"--input {text} is neither extents nor int: and extents", remedy="--input 1,1,96,96,96 or --input int:1,4")
    extents = [int(e) for e in extents.split(",") if e]
    if kind == "int":
        return torch.zeros(extents, dtype=torch.int64)
    return torch.randn(extents, generator=generator)


def network(text):
    """What package.module:callable is or gives."""
    import torch
    module, _, name = text.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        net = getattr(importlib.import_module(module), name) if name else None
    except ModuleNotFoundError as e:
        if not (module + ".").startswith(f"{e.name}."):  # a module that the user's own wants
            raise
        raise Refused(f"there is no module {module}", remedy="name it as import does, from the folder that it is in") from e
    except AttributeError as e:
        if not str(e).endswith(f"has no attribute '{name}'"):
            raise
        raise Refused(f"the module {module} has no {name}") from e
    if net is None:
        raise Refused(f"{text} names no network", remedy="module:class or module:function, as my_nets:Segmenter")
    if isinstance(net, torch.nn.Module):
        return net
    try:
        inspect.signature(net).bind()
    except TypeError as e:
        raise Refused(f"{name} is called without arguments: {e}", remedy="name a function without arguments that gives the network") from e
    return net()


def load(net, file):
    """Loads a state_dict, also one of several entries of a checkpoint, or of a DataParallel."""
    import torch
    try:
        if file.endswith(".safetensors"):
            from safetensors.torch import load_file
            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model_state_dict", "model", "network_weights"):
            state = state[key] if isinstance(state.get(key), dict) else state
        torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
        net.load_state_dict(state)
    except (OSError, RuntimeError, pickle.UnpicklingError, AttributeError) as e:
        raise Refused(f"{file} does not load: {str(e).split(' This file can')[0]}", remedy="torch.save(net.state_dict(), file) of the same network") from e


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", help="package.module:callable, which gives a torch.nn.Module")
    parser.add_argument("--input", action="append", default=[], help="extents of an input: 1,1,96,96,96, or int:1; once for each input")
    parser.add_argument("--checkpoint", help="a file of torch.save or safetensors with the state_dict")
    parser.add_argument("--name", help="of the network; by default its class")
    parser.add_argument("--write", help="a description: write its C++ only")
    parser.add_argument("-o", "--output", required=True, help="the folder to write to")
    given = parser.parse_args()
    try:
        if given.write:
            from project import Project
            try:
                described = descriptions.load(given.write)
            except (OSError, ValueError) as e:
                raise Refused(f"{given.write} is no description: {e}", remedy="the network.json of an export") from e
            ns = Project(described).write(given.output)
        else:
            if not given.network or not given.input:
                parser.error("a network and at least one --input are wanted")
            net = network(given.network)
            if given.checkpoint:
                load(net, given.checkpoint)
            import torch
            generator = torch.Generator().manual_seed(0)  # of all inputs: none is like another
            ns = export(net, [tensor(t, generator) for t in given.input], given.output, name=given.name)
    except Refused as e:
        sys.exit(str(e))
    print(f"{given.output}: {ns}.hpp, {ns}_handle.hpp, {ns}_handle.cpp, {ns}_check.cpp, CMakeLists.txt")


if __name__ == "__main__":
    main()
