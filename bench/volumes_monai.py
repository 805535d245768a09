#!/usr/bin/env python3
"""The network of bench/volumes.cpp in PyTorch, on a volume by MONAI's sliding_window_inference (windows of 96^3, of which a quarter overlaps,
Gaussian weights), or the whole volume at once: seconds, and the largest resident memory beside the volume and its scores.

    python3 -m venv venv && venv/bin/pip install torch monai
    venv/bin/python bench/volumes_monai.py windows|whole [threads [depth [height [width]]]]        default 1 192 192 192
"""
import resource
import sys
import time

import torch
from torch import nn

way = sys.argv[1]
threads, *extents = [int(a) for a in sys.argv[2:]] + [1, 192, 192, 192][len(sys.argv) - 2 :]
torch.set_num_threads(threads)
torch.manual_seed(1)


def block(i, o):
    return nn.Sequential(*[m for a in (i, o) for m in (nn.Conv3d(a, o, 3, padding=1), nn.BatchNorm3d(o), nn.ReLU(inplace=True))])


class Skip(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.inner = nn.Sequential(*layers)

    def forward(self, x):
        return torch.cat((x, self.inner(x)), 1)


def up(i, o):
    return nn.ConvTranspose3d(i, o, 2, 2)


c = 32
bottom = Skip(nn.MaxPool3d(2), block(2 * c, 4 * c), up(4 * c, 2 * c))
level = Skip(nn.MaxPool3d(2), block(c, 2 * c), bottom, block(4 * c, 2 * c), up(2 * c, c))
net = nn.Sequential(block(1, c), level, block(2 * c, c), nn.Conv3d(c, 2, 1)).eval()
x = torch.rand(1, 1, *extents)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if way == "windows":
    from monai.inferers import sliding_window_inference

    run = lambda: sliding_window_inference(x, (96, 96, 96), 1, net, 0.25, "gaussian")
    what = "MONAI's windows of 96 x 96 x 96"
else:
    run = lambda: net(x)
    what = "the whole volume"
before = peak()  # PyTorch itself, MONAI and the volume
with torch.inference_mode():
    begun = time.perf_counter()
    y = run()
    seconds = time.perf_counter() - begun
print(f"{what}, {threads} threads: {seconds:.2f} s, {peak() - before - y.numel() * 4 / 2**20:.0f} MiB beside PyTorch, the volume and its scores ({before:.0f} MiB)")
