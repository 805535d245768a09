#!/usr/bin/python3
"""PyTorch as a contestant: requests on stdin, one answer each on stdout. The first answer is the version.

conv3d PASS numbers...           prepares a line of workloads/conv3d.csv; answers "0"
document|adaptive TRAINED ...    prepares a model and runs it once; answers the projection of its results (see model.hpp)
turn MICROSECONDS                times what was prepared for so long; answers microseconds a call, any number of them (see timing.hpp)
"""
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(int(sys.argv[1]))


def noise(shape, seed):
    with numpy.errstate(over="ignore"):
        h = numpy.arange(numpy.prod(shape), dtype=numpy.uint32) * numpy.uint32(2654435761)
        h += numpy.uint32(seed * 2246822519 & 0xFFFFFFFF)
        h = (h ^ h >> 15) * numpy.uint32(2246822519)
    h ^= h >> 13
    return torch.from_numpy(((h >> 8).astype(numpy.float32) / numpy.float32(16777216) - numpy.float32(0.5)).reshape(shape))


def projection(results):
    return sum(float((r.detach().double() * noise(tuple(r.shape), 1000 + k)).sum()) for k, r in enumerate(results))


def conv3d(which, *numbers):
    n, ic, oc, groups, d, h, w, kd, kh, kw, sd, sh, sw, front, back, ph, pw, dd, dh, dw = map(int, numbers)
    symmetric = front == back
    x, weight = torch.rand(n, ic, d, h, w) - 0.5, torch.rand(oc, ic // groups, kd, kh, kw) - 0.5
    stride, padding, dilation = [sd, sh, sw], [front if symmetric else 0, ph, pw], [dd, dh, dw]
    padded = (lambda x: x) if symmetric else (lambda x: F.pad(x, (0, 0, 0, 0, front, back)))

    def forward():
        return F.conv3d(padded(x), weight, None, stride, padding, dilation, groups)

    with torch.no_grad():
        g = torch.rand_like(forward()) - 0.5
        wide = padded(x)

    def backward(x, data):
        return torch.ops.aten.convolution_backward(g, x, weight, None, stride, padding, dilation, False, [0, 0, 0], groups, [data, not data, False])

    def data():  # only the shape of x matters
        dx = backward(wide, True)[0]
        return dx if symmetric else dx[:, :, front : front + d].contiguous()

    return {"forward": forward, "data": data, "weights": lambda: backward(padded(x), False)[1]}[which], lambda: 0


def document(trained, batch):
    batch = int(batch)
    net = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 16, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(1024, 10))
    with torch.no_grad():
        for seed, p in enumerate(net.parameters()):
            p.copy_(noise(tuple(p.shape), seed) * (1 if p.dim() == 1 else (12 * p.shape[0] / p.numel()) ** 0.5))
    x, labels = noise((batch, 1, 10, 10, 10), 100), torch.arange(batch) % 10
    if not int(trained):
        return lambda: net(x), lambda: projection([net(x)])
    optimizer = torch.optim.Adam(net.parameters())
    loss = None

    def step():
        nonlocal loss
        with torch.enable_grad():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x), labels)
            loss.backward()
            optimizer.step()

    return step, lambda: projection([loss] + [p.grad for p in net.parameters()])


def adaptive(trained, b, c, *volume):
    """The grouped form: a filter bank for each sample."""
    b, c = int(b), int(c)
    leaves = [noise((b, c, *map(int, volume)), 100), noise((b, c), 101), noise((c, c, 3, 3, 3), 0) * (12 / (27 * c)) ** 0.5]
    trained = bool(int(trained))
    for leaf in leaves:
        leaf.requires_grad_(trained)

    def forward():
        fmap, mod, weights = leaves
        weights = weights.unsqueeze(0) * (mod + 1).view(b, 1, c, 1, 1, 1)
        weights = weights * (weights**2).sum((2, 3, 4, 5), keepdim=True).clamp(min=1e-8).rsqrt()
        y = F.conv3d(fmap.reshape(1, b * c, *fmap.shape[2:]), weights.reshape(b * c, c, 3, 3, 3), padding=1, groups=b)
        return y.reshape(fmap.shape)

    if not trained:
        return forward, lambda: projection([forward()])
    loss = None

    def step():
        nonlocal loss
        with torch.enable_grad():
            for leaf in leaves:
                leaf.grad = None
            loss = (forward() ** 2).mean()
            loss.backward()

    return step, lambda: projection([loss] + [leaf.grad for leaf in leaves])


def turn(run, budget, last):
    now = time.perf_counter
    if last < 20e3:
        begin, calls = now(), 0
        while not calls or now() - begin < 5e-3:
            run()
            calls += 1
        once = (now() - begin) / calls * 1e6
    else:
        time.sleep(0.01)
        once = last
    batch = range(max(1, int(20 / once)))
    samples, begin = [], now()
    while not samples or (now() - begin) * 1e6 < budget:
        start = now()
        for _ in batch:
            run()
        samples.append((now() - start) / len(batch) * 1e6)
    return samples


print(torch.__version__.removesuffix("a0"), flush=True)
run, last = None, 0.0
with torch.no_grad():
    for line in sys.stdin:
        request, *rest = line.split()
        if request == "turn":
            samples = turn(run, float(rest[0]), last)
            last = samples[-1]
            print(*(f"{s:.6g}" for s in samples), flush=True)
        else:
            run, check = {"conv3d": conv3d, "document": document, "adaptive": adaptive}[request](*rest)
            run()
            last = 0.0
            print(check(), flush=True)
