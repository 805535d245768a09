#!/usr/bin/python3
"""A peer of Volute: requests on stdin, one answer each on stdout. The first answer is its name and version.

    peer.py pytorch|openvino|onnxruntime f32|bf16 THREADS

conv3d PASS numbers...           prepares a line of workloads/conv3d.csv and runs it once
MODEL TRAINED ...                prepares a model and runs it once
    Both answer a projection of the results (see model.hpp) and the root of the sum of its squared terms, or "-": not with this peer.
turn MICROSECONDS                times what was prepared for so long; answers microseconds a call, any number of them (see timing.hpp)

All take their models from PyTorch. bf16 is PyTorch's autocast and OpenVINO's precision hint.
"""
import importlib
import io
import os
import re
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

answers = os.fdopen(os.dup(1), "w", 1)
os.dup2(2, 1)  # what libraries print is no answer
peer, precision, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
bf16 = precision == "bf16"
torch.set_num_threads(threads)
library = torch if peer == "pytorch" else importlib.import_module(peer)


def noise(shape, seed):
    with numpy.errstate(over="ignore"):
        h = numpy.arange(numpy.prod(shape), dtype=numpy.uint32) * numpy.uint32(2654435761)
        h += numpy.uint32(seed * 2246822519 & 0xFFFFFFFF)
        h = (h ^ h >> 15) * numpy.uint32(2246822519)
    h ^= h >> 13
    return torch.from_numpy(((h >> 8).astype(numpy.float32) / numpy.float32(16777216) - numpy.float32(0.5)).reshape(shape))


def projection(results):
    terms = [(r.detach().double() * noise(tuple(r.shape), 1000 + k)).flatten() for k, r in enumerate(map(torch.as_tensor, results))]
    return f"{sum(float(t.sum()) for t in terms)} {sum(float(t.square().sum()) for t in terms) ** 0.5}"


def inference(net, *inputs):
    """A function that returns the results of one forward pass."""
    net.eval()
    if peer == "pytorch":
        return lambda: [net(*inputs)]
    if peer == "openvino":
        model = library.convert_model(net, example_input=inputs, input=[tuple(x.shape) for x in inputs])
        options = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        request = library.compile_model(model, "CPU", options).create_infer_request()
        for i, x in enumerate(inputs):
            request.set_input_tensor(i, library.Tensor(x.numpy(), shared_memory=True))

        def run():
            request.infer()
            return [request.get_output_tensor(0).data]

        run.inputs = inputs  # OpenVINO does not keep them
        return run
    file = io.BytesIO()
    torch.onnx.export(net, inputs, file, dynamo=False)
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    session = library.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)


def conv3d(which, *numbers):
    n, ic, oc, groups, d, h, w, kd, kh, kw, sd, sh, sw, front, back, ph, pw, dd, dh, dw = map(int, numbers)
    symmetric = front == back
    stride, padding, dilation = [sd, sh, sw], [front if symmetric else 0, ph, pw], [dd, dh, dw]
    pad = nn.Identity() if symmetric else nn.ConstantPad3d((0, 0, 0, 0, front, back), 0)
    layer = nn.Conv3d(ic, oc, (kd, kh, kw), stride, padding, dilation, groups, bias=False)
    layer.weight.copy_(noise(layer.weight.shape, 2))
    x = noise((n, ic, d, h, w), 1)
    if which == "forward":
        return inference(layer if symmetric else nn.Sequential(pad, layer), x)
    if peer != "pytorch":
        return None
    dtype = torch.bfloat16 if bf16 else torch.float32  # autocast leaves this function alone
    g, weight, wide = noise(layer(pad(x)).shape, 3), layer.weight.to(dtype), pad(x).to(dtype)

    def backward(x, data):
        return torch.ops.aten.convolution_backward(
            g.to(dtype), x, weight, None, stride, padding, dilation, False, [0, 0, 0], groups, [data, not data, False]
        )

    def data():  # only the shape of x matters
        dx = backward(wide, True)[0]
        return [dx if symmetric else dx[:, :, front : front + d].contiguous()]

    return data if which == "data" else lambda: [backward(pad(x).to(dtype), False)[1]]


def contestant(trained, net, x, labels):
    """A forward pass, or a training step with Adam. Parameters are in the order in which the network uses them."""
    for seed, p in enumerate(net.parameters()):
        p.copy_(noise(tuple(p.shape), seed) * (1 if p.dim() == 1 else (12 * p.shape[0] / p.numel()) ** 0.5))
    if not int(trained):
        return inference(net, *x)
    if peer != "pytorch":
        return None
    net.train()
    optimizer = torch.optim.Adam(net.parameters())

    def step():
        with torch.enable_grad():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(*x), labels)
            loss.backward()
            optimizer.step()
        torch.clear_autocast_cache()  # of the parameters as they were
        return [loss, *(p.grad for p in net.parameters())]

    return step


def document(trained, batch):
    batch = int(batch)
    net = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 16, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(1024, 10))
    return contestant(trained, net, [noise((batch, 1, 10, 10, 10), 100)], torch.arange(batch) % 10)


def unet(trained, base):
    base = int(base)

    def block(i, o):
        return nn.Sequential(
            nn.Conv3d(i, o, 3, padding=1, bias=False), nn.InstanceNorm3d(o, affine=True), nn.LeakyReLU(0.01, True),
            nn.Conv3d(o, o, 3, padding=1, bias=False), nn.InstanceNorm3d(o, affine=True), nn.LeakyReLU(0.01, True),
        )  # fmt: skip

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            c = [base << k for k in range(4)]
            self.enc0, self.enc1, self.enc2, self.bottom = block(1, c[0]), block(c[0], c[1]), block(c[1], c[2]), block(c[2], c[3])
            self.up2, self.dec2 = nn.ConvTranspose3d(c[3], c[2], 2, 2), block(c[3], c[2])
            self.up1, self.dec1 = nn.ConvTranspose3d(c[2], c[1], 2, 2), block(c[2], c[1])
            self.up0, self.dec0 = nn.ConvTranspose3d(c[1], c[0], 2, 2), block(c[1], c[0])
            self.head = nn.Conv3d(c[0], 2, 1)

        def forward(self, x):
            a = self.enc0(x)
            b = self.enc1(F.max_pool3d(a, 2))
            c = self.enc2(F.max_pool3d(b, 2))
            e = self.dec2(torch.cat([c, self.up2(self.bottom(F.max_pool3d(c, 2)))], 1))
            f = self.dec1(torch.cat([b, self.up1(e)], 1))
            return self.head(self.dec0(torch.cat([a, self.up0(f)], 1)))

    return contestant(trained, UNet(), [noise((1, 1, 64, 64, 64), 100)], (torch.arange(64**3) % 2).reshape(1, 64, 64, 64))


def r3d18(trained):
    """torchvision.models.video.r3d_18, which Debian does not ship."""

    def conv(i, o, kernel, stride, padding):
        return [nn.Conv3d(i, o, kernel, stride, padding, bias=False), nn.BatchNorm3d(o)]

    class Block(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.conv1 = nn.Sequential(*conv(i, o, 3, stride, 1), nn.ReLU(True))
            self.conv2 = nn.Sequential(*conv(o, o, 3, 1, 1))
            self.downsample = nn.Sequential(*conv(i, o, 1, stride, 0)) if stride > 1 else None

        def forward(self, x):
            y = self.conv2(self.conv1(x))
            return F.relu(y + (self.downsample(x) if self.downsample else x), True)

    net = nn.Sequential(
        *conv(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3)), nn.ReLU(True),
        Block(64, 64, 1), Block(64, 64, 1), Block(64, 128, 2), Block(128, 128, 1), Block(128, 256, 2), Block(256, 256, 1),
        Block(256, 512, 2), Block(512, 512, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(512, 400),
    )  # fmt: skip
    return contestant(trained, net, [noise((1, 3, 16, 112, 112), 100)], torch.tensor([7]))


def fused(trained, full):
    """A convolution, or one with bias, residual addition and activation."""

    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(64, 64, 3, padding=1)

        def forward(self, x, r):
            return F.relu(self.conv(x) + r, True)

    x, r = (noise((1, 64, 32, 32, 32), 100 + i) for i in range(2))
    return contestant(trained, Fused(), [x, r], None) if int(full) else contestant(trained, nn.Conv3d(64, 64, 3, padding=1, bias=False), [x], None)


def adaptive(trained, b, c, *volume):
    """The grouped form: a filter bank for each sample."""
    b, c = int(b), int(c)

    class Adaptive(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(noise((c, c, 3, 3, 3), 0) * (12 / (27 * c)) ** 0.5)

        def forward(self, fmap, mod):
            weights = self.weights.unsqueeze(0) * (mod + 1).view(b, 1, c, 1, 1, 1)
            weights = weights * (weights**2).sum((2, 3, 4, 5), keepdim=True).clamp(min=1e-8).rsqrt()
            y = F.conv3d(fmap.reshape(1, b * c, *fmap.shape[2:]), weights.reshape(b * c, c, 3, 3, 3), padding=1, groups=b)
            return y.reshape(fmap.shape)

    net, inputs = Adaptive(), [noise((b, c, *map(int, volume)), 100), noise((b, c), 101)]
    if not int(trained):
        return inference(net, *inputs)
    if peer != "pytorch":
        return None
    leaves = [*(x.requires_grad_() for x in inputs), net.weights]

    def step():
        with torch.enable_grad():
            for leaf in leaves:
                leaf.grad = None
            loss = (net(*inputs) ** 2).mean()
            loss.backward()
        torch.clear_autocast_cache()
        return [loss, *(leaf.grad for leaf in leaves)]

    return step


def turn(run, budget, last):
    now = time.perf_counter
    time.sleep(0.025)
    once = last
    if last < 20e3:
        begin, calls = now(), 0
        while not calls or now() - begin < 5e-3:
            run()
            calls += 1
        once = (now() - begin) / calls * 1e6
    batch = range(max(1, int(20 / once)))
    samples, begin = [], now()
    while not samples or (now() - begin) * 1e6 < budget:
        start = now()
        for _ in batch:
            run()
        samples.append((now() - start) / len(batch) * 1e6)
    return samples


title = {"pytorch": "PyTorch", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[peer]
print(title, re.match(r"[\d.]+", library.__version__)[0] + (" bf16" if bf16 else ""), file=answers)
run, last = None, 0.0
with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16 and peer == "pytorch"):
    for line in sys.stdin:
        request, *rest = line.split()
        if request == "turn":
            samples = turn(run, float(rest[0]), last)
            last = samples[-1]
            print(*(f"{s:.6g}" for s in samples), file=answers)
        else:
            run, last = None, 0.0
            try:
                run = {"conv3d": conv3d, "document": document, "unet": unet, "r3d18": r3d18, "fused": fused, "adaptive": adaptive}[request](*rest)
            except Exception as error:
                print(f"{title} cannot have {line.strip()}: {error}", file=sys.stderr)
            print("-" if run is None else projection(run()), file=answers)
