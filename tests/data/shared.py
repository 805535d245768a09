#!/usr/bin/env python3
"""Makes shared_clones.safetensors and shared_model.safetensors: a checkpoint in which one tensor has several names, as those of nnU-Net (164
names for 56 tensors), where a block knows its convolution also as all_modules.0 and the decoder knows the encoder. Needs no PyTorch: what
safetensors.torch 0.4 does to a state_dict with shared tensors is done by hand. `python3 tests/data/shared.py`

- clones: save_file({k: v.clone() for k, v in state_dict.items()}) writes each tensor under all its names.
- model: save_model keeps the first name of each tensor, and says in the metadata which name it stands for.
"""
import json
import os
import struct

folder = os.path.dirname(os.path.abspath(__file__))
tensors = {}  # name: (first number, shape); the same first number is the same tensor
first = 0
for block in range(2):
    for index, layer in enumerate(("conv", "norm")):
        for name, shape in (("weight", [2, 1 + block, 1, 1, 1] if layer == "conv" else [2]), ("bias", [2])):
            for owner in ("", "decoder."):
                for inner in (layer, f"all_modules.{index}"):
                    tensors[f"{owner}encoder.stages.{block}.convs.0.{inner}.{name}"] = first, shape
            first += 100
tensors["decoder.seg_layers.0.weight"] = first, [3, 2, 1, 1, 1]
tensors["decoder.seg_layers.0.bias"] = first + 100, [3]


def save(path, names, metadata):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name in sorted(names):
        start, shape = tensors[name]
        count = 1
        for extent in shape:
            count *= extent
        values = struct.pack(f"<{count}f", *range(start, start + count))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, path), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


save("shared_clones.safetensors", tensors, {"format": "pt"})
kept = {}
for name in sorted(tensors):
    kept.setdefault(tensors[name][0], name)
save("shared_model.safetensors", kept.values(), {n: kept[tensors[n][0]] for n in tensors if n not in kept.values()})
