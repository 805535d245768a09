#!/usr/bin/python3
"""Twenty training steps of a small 3D U-Net in PyTorch 1.13: writes the initial parameters (data/parity_unet.safetensors) and the losses
(conformance/parity_unet.hpp). Debian's python3-torch; run it in tests/conformance.
"""
import json
import struct

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(1)


def block(i, o, norm):
    """Without biases: a norm takes them out, their gradients are rounding errors, and Adam makes steps of full size of those."""
    first, second = nn.Conv3d(i, o, 3, padding=1, bias=False), nn.Conv3d(o, o, 3, padding=1, bias=False)
    return nn.Sequential(first, norm(o), nn.LeakyReLU(0.01), second, norm(o), nn.LeakyReLU(0.01))


class UNet(nn.Module):
    def __init__(self, c=4):
        super().__init__()
        self.enc0 = block(1, c, nn.BatchNorm3d)
        self.down = nn.Conv3d(c, 2 * c, 2, stride=2)
        self.enc1 = block(2 * c, 2 * c, lambda n: nn.GroupNorm(2, n))
        self.bottom = block(2 * c, 4 * c, lambda n: nn.InstanceNorm3d(n, affine=True))
        self.up1 = nn.ConvTranspose3d(4 * c, 2 * c, 2, stride=2)
        self.dec1 = block(4 * c, 2 * c, lambda n: nn.InstanceNorm3d(n, affine=True))
        self.up0 = nn.ConvTranspose3d(2 * c, c, 2, stride=2)
        self.dec0 = block(2 * c, c, nn.BatchNorm3d)
        self.head = nn.Conv3d(c, 3, 1)

    def forward(self, x):
        a = self.enc0(x)
        b = self.enc1(self.down(a))
        d = self.dec1(torch.cat([b, self.up1(self.bottom(F.max_pool3d(b, 2)))], 1))
        return self.head(self.dec0(torch.cat([a, self.up0(d)], 1)))


def write(path, tensors):
    """The safetensors format: the length of a JSON header, the header, the bytes."""
    header, data = {}, b""
    for name, t in tensors.items():
        if not t.dtype.is_floating_point:
            continue
        b = t.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def batch(step):
    """Volumes and labels by a formula that parity_unet.cpp has too: smooth waves, three classes by height, and a grain."""
    n, size = 2, 12
    i = torch.arange(n * size**3, dtype=torch.float64)
    w, h, d, s = i % size, i // size % size, i // size**2 % size, i // size**3
    wave = torch.sin(0.5 * w + 0.3 * step) + torch.cos(0.4 * h - 0.2 * step + s) + torch.sin(0.3 * d + s)
    grain = (i * 7919 + step * 104729) % 1009 / 1009 - 0.5
    labels = (wave > -0.5).double() + (wave > 0.5).double()
    return (wave + grain).float().reshape(n, 1, size, size, size), labels.long().reshape(n, size, size, size)


net = UNet()
write("../data/parity_unet.safetensors", net.state_dict())
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
losses = []
for step in range(20):
    x, t = batch(step)
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), t)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
net.eval()
with torch.no_grad():
    x, t = batch(20)
    judged = F.cross_entropy(net(x), t).item()
with open("parity_unet.hpp", "w") as f:
    f.write("// Made by parity_unet.py with PyTorch " + torch.__version__.removesuffix("a0") + ".\n#pragma once\n\n")
    f.write("inline constexpr double parity_losses[] = {\n")
    for i in range(0, 20, 5):
        f.write("    " + " ".join(f"{v:.9g}," for v in losses[i : i + 5]) + "\n")
    f.write("};\n/// In inference, after the last step.\n")
    f.write(f"inline constexpr double parity_judged = {judged:.9g};\n")
