#!/usr/bin/python3
"""The training step of examples/segment_brain.cpp in PyTorch: milliseconds a step, best and median. Arguments: threads, seconds."""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(int(sys.argv[1]))


def conv(i, o, stride=1):
    return nn.Sequential(nn.Conv3d(i, o, 3, stride, 1, bias=False), nn.InstanceNorm3d(o, affine=True), nn.LeakyReLU(0.01, True))


def block(i, o):
    return nn.Sequential(conv(i, o), conv(o, o))


class UNet(nn.Module):
    def __init__(self, c=16):
        super().__init__()
        self.enc1 = nn.Sequential(conv(1, c, 2), conv(c, c))
        self.enc2, self.enc3 = block(c, 2 * c), block(2 * c, 4 * c)
        self.up2, self.dec2 = nn.ConvTranspose3d(4 * c, 2 * c, 2, 2), block(4 * c, 2 * c)
        self.up1, self.dec1 = nn.ConvTranspose3d(2 * c, c, 2, 2), block(2 * c, c)
        self.up0, self.head = nn.ConvTranspose3d(c, c // 2, 2, 2), nn.Conv3d(c // 2 + 1, 1, 3, padding=1)

    def forward(self, x):
        a = self.enc1(x)
        b = self.enc2(F.max_pool3d(a, 2))
        c = self.enc3(F.max_pool3d(b, 2))
        d = self.dec2(torch.cat([b, self.up2(c)], 1))
        e = self.dec1(torch.cat([a, self.up1(d)], 1))
        return self.head(torch.cat([x, F.leaky_relu(self.up0(e), 0.01)], 1))


def criterion(logits, target):
    p, over = logits.sigmoid(), (2, 3, 4)
    dice = (2 * (p * target).sum(over) + 1000) / (p.sum(over) + target.sum(over) + 1000)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - dice.mean()


torch.manual_seed(1)
net = UNet()
adam = torch.optim.Adam(net.parameters(), lr=3e-3)
x = torch.rand(1, 1, 64, 64, 64)
t = (x > 0.5).float()


def step():
    adam.zero_grad(set_to_none=True)
    loss = criterion(net(x), t)
    loss.backward()
    adam.step()
    return loss


times, end = [], time.perf_counter() + float(sys.argv[2])
step()
while time.perf_counter() < end:
    begin = time.perf_counter()
    step()
    times.append((time.perf_counter() - begin) * 1e3)
times.sort()
print(f"PyTorch {torch.__version__}, {sys.argv[1]} threads: best {times[0]:.1f} ms, median {times[len(times) // 2]:.1f} ms, {len(times)} steps")
print("parameters", sum(p.numel() for p in net.parameters()))
