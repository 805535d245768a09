#!/usr/bin/env python3
"""Makes the files of this folder with the formats' original writers: PyTorch 1.13, safetensors 0.8 (PyPI), NumPy 1.24.

    python3 -m venv --system-site-packages venv    # Debian's python3-torch and python3-numpy
    venv/bin/pip install safetensors==0.8.0
    venv/bin/python make.py
"""
import os

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
