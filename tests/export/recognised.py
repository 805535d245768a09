#!/usr/bin/env python3
"""Attention that networks write out becomes one step where one step says it, and no other place changes. What a module returns keeps its order
and its names, and a layer that several pieces come of is called once. Plain Python."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
import description  # noqa: E402
from project import Project  # noqa: E402

wanted = {"written_attention": (3, 3, 3), "vit": (1, 0, 0), "swin3d_small": (2, 0, 3)}  # calls of attention and of softmax, biases
failed = 0
for name, calls in wanted.items():
    text = Project(description.load(os.path.join(here, "networks", name + ".json"))).header()
    found = tuple(text.count(f + "(") for f in ("attention", "softmax", "attn_bias"))
    if found != calls:
        failed += 1
        print(f"{name}: wants {calls} calls of attention, softmax and attn_bias, found {found}")
said = {"recurrent_cells": ("const auto [hidden, memory] = cell(", "* tanh(c), c};", "const auto [hidden3, memory3] = cell_("),
        "several_results": ("[y2, y3, y4]",)}
once = {"recurrent_cells": ("gates(", 2)}  # in each of two structs
for name, texts in said.items():
    text = Project(description.load(os.path.join(here, "networks", name + ".json"))).header()
    call, count = once.get(name, ("", 0))
    if any(t not in text for t in texts) or call and text.count(call) != count:
        failed += 1
        print(f"{name}: wants {texts} and {count} of {call}, has\n{text}")
wanted.update(said)
print(f"{len(wanted) - failed} passed, {failed} failed")
sys.exit(failed)
