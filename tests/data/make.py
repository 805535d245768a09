#!/usr/bin/env python3
"""Makes the files of this folder with the formats' original writers: PyTorch 1.13, safetensors 0.8 (PyPI), NumPy 1.24.

    python3 -m venv --system-site-packages venv    # Debian's python3-torch and python3-numpy
    venv/bin/pip install safetensors==0.8.0
    venv/bin/python make.py
"""
import os
import struct
import zipfile
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import nn

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(1)

# A network after a few steps of training, so that the running statistics are its own, and what it computes in evaluation.
net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    optimiser.zero_grad()
    net(torch.randn(2, 1, 4, 4, 4)).square().sum().backward()
    optimiser.step()
net.eval()
x = torch.randn(2, 1, 4, 4, 4)
save_file(net.state_dict(), "torch.safetensors", metadata={"format": "pt"})
save_file({"input": x, "output": net(x).detach()}, "torch_values.safetensors")

# The same network in several precisions, under a prefix, and what they are in double precision.
types = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
mixed = {k: v.to(types[i % 4]) if v.is_floating_point() else v for i, (k, v) in enumerate(net.state_dict().items())}
save_file({"net." + k: v for k, v in mixed.items()}, "mixed.safetensors")
save_file({k: v.double() for k, v in mixed.items() if v.is_floating_point()}, "mixed_values.safetensors")

# One tensor of each type that NumPy has, a scalar and an empty one; counting up through the extremes.
arrays = {"scalar": np.array(2.5, np.float32), "empty": np.zeros((3, 0, 2), np.float32), "bool": np.array([True, False, True])}
for t in ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]:
    info = np.iinfo(t)
    arrays[t] = np.array([[info.min, 0, 1], [2, 3, info.max]], t)
for t in ["f2", "f4", "f8"]:
    info = np.finfo(t)
    arrays[t] = np.array([[info.min, -0.0, info.tiny], [info.smallest_subnormal, np.inf, 1 / 3]], t)
save_arrays(arrays, "types.safetensors", metadata={"made by": 'safetensors "0.8", größer'})

for name, a in arrays.items():
    np.save(f"npy/{name}.npy", a)
ramp = np.arange(24, dtype="f4").reshape(2, 3, 4)
np.save("npy/fortran.npy", np.asfortranarray(ramp))
np.save("npy/big_endian.npy", ramp.astype(">f4"))
np.save("npy/complex.npy", ramp.astype("c8"))
np.save("npy/structure.npy", np.zeros(2, [("a", "<f4"), ("b", "<i4")]))
with open("npy/version2.npy", "wb") as f:
    np.lib.format.write_array(f, ramp, version=(2, 0))

# .npz: the network's parameters, stored; those in several precisions (NumPy has no bfloat16), one in Fortran order, deflated.
np.savez("torch.npz", **{k: v.numpy() for k, v in net.state_dict().items()})
narrow = {k: v.numpy() for k, v in mixed.items() if v.dtype != torch.bfloat16}
narrow["4.weight"] = np.asfortranarray(narrow["4.weight"])
np.savez_compressed("mixed.npz", **narrow)


# Archives that are wrong: members by hand, each as name, method, size as the lists tell it, bytes as they lie, checksum; an offset for one
# that lies within another.
def entry(m):
    head = struct.pack("<HHHHHIIIHH", 20, 0, m["method"], 0, 33, m["crc"], len(m["bytes"]), m["size"], len(m["name"]), 0)
    return b"PK\3\4" + head + m["name"].encode() + m["bytes"]


def archive(name, *members):
    local, listed = b"", b""
    for m in members:
        listed += b"PK\1\2" + struct.pack("<H", 20) + entry(m)[4:30] + struct.pack("<HHHII", 0, 0, 0, 0, m.get("offset", len(local)))
        listed += m["name"].encode()
        if "offset" not in m:
            local += entry(m)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(listed), len(local), 0)
    with open(f"npz/{name}.npz", "wb") as f:
        f.write(local + listed + end)


def member(name, content, size=None, deflated=True, **change):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush() if deflated else content
    own = {"name": name, "method": 8 if deflated else 0, "size": size or len(content), "bytes": data, "crc": zlib.crc32(content)}
    return {**own, **change}


def npy(a, more=b""):
    with open("npy/a.tmp", "wb") as f:
        np.save(f, a)
    with open("npy/a.tmp", "rb") as f:
        content = f.read() + more
    os.remove("npy/a.tmp")
    return content


os.makedirs("npz", exist_ok=True)
a = npy(np.arange(6, dtype="f4").reshape(2, 3))
b = npy(np.arange(2, dtype="f4"))
weight, bias = member("a.weight.npy", a), member("a.bias.npy", b, deflated=False)
archive("good", weight, bias)
archive("empty")
archive("bomb", weight, member("a.bias.npy", npy(np.arange(2, dtype="f4"), bytes(1 << 20))))  # more than its header says
archive("lying_bomb", weight, member("a.bias.npy", npy(np.arange(2, dtype="f4"), bytes(1 << 20)), len(b)))  # and a size that agrees
archive("long", weight, member("a.bias.npy", b + bytes(8), len(b), deflated=False))
archive("short", weight, member("a.bias.npy", b[:-4], len(b)))
archive("checksum", weight, {**bias, "crc": bias["crc"] ^ 1})
archive("twice", weight, bias, bias)
inner = [member("z.npy", npy(np.zeros(1000, "u1")), deflated=False)]
for name in ("y.npy", "x.npy"):  # each holds the one before, behind its own start
    inner.insert(0, member(name, npy(np.frombuffer(entry(inner[0]), "u1")), deflated=False))
archive("overlap", *[{**m, "offset": 163 * i} if i else m for i, m in enumerate(inner)])
archive("other", weight, member("a.bias", b))
archive("method", weight, {**bias, "method": 12})
archive("deflate", weight, {**bias, "method": 8})
archive("wanted", weight, member("a.bias.npy", npy(np.zeros(1 << 18, "f4"))))  # as its header says, but not what is wanted
archive("big_endian", weight, member("a.bias.npy", npy(np.arange(2, dtype=">f4"))))
archive("whole", weight, member("a.bias.npy", npy(np.arange(2, dtype="i4"))))  # not of a floating-point type
