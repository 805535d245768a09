#!/usr/bin/env python3
"""Writes the first inputs of the fuzzers: `seeds.py FOLDER` fills FOLDER/safetensors, FOLDER/npy and FOLDER/npz from tests/data and by hand."""
import json
import os
import shutil
import struct
import sys

import numpy as np

target = sys.argv[1]
data = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data")
for kind in ("safetensors", "npy", "npz"):
    os.makedirs(f"{target}/{kind}", exist_ok=True)
for name in os.listdir(data):
    if name.endswith(".safetensors"):
        shutil.copy(f"{data}/{name}", f"{target}/safetensors")
for name in os.listdir(f"{data}/npy"):
    shutil.copy(f"{data}/npy/{name}", f"{target}/npy")
for name in os.listdir(f"{data}/npz"):
    shutil.copy(f"{data}/npz/{name}", f"{target}/npz")


def safetensors(name, header, size):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(f"{target}/safetensors/{name}", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + bytes(range(size)))


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


for dtype, n in {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}.items():
    both = {"a": tensor(dtype, [2, 3], 0, 6 * n), "b": tensor(dtype, [], 6 * n, 7 * n)}
    safetensors(f"fits_{dtype}", both, 7 * n)
both["num_batches_tracked"] = tensor("I64", [], 56, 64)
both["__metadata__"] = {"k": "v"}
safetensors("more", both, 64)
safetensors("empty", {}, 0)
safetensors("overlap", {"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [2], 4, 12)}, 12)
safetensors("twice", b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 1)
safetensors("huge", {"a": tensor("U8", [2**63 - 1], 0, 2**63 - 1)}, 0)
safetensors("nested", b'{"a":' + b"[" * 50, 0)
for dtype in ("f2", "f4", "f8", "i4"):
    for name, save in {"stored": np.savez, "deflated": np.savez_compressed}.items():
        save(f"{target}/npz/{name}_{dtype}.npz", a=np.asfortranarray(np.arange(6, dtype=dtype).reshape(2, 3)), b=np.array(7, dtype))
