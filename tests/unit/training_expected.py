#!/usr/bin/env python3
"""What PyTorch (1.13) computes for the losses, penalties, optimisers and schedules of tests/unit/training_*.cpp:
`training_expected.py > training_expected.hpp`. The header is kept in the repository; the tests need no PyTorch."""
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def show(name, values):
    numbers = ", ".join(f"{v:.15g}" for v in torch.as_tensor(values).detach().double().flatten().tolist())
    print(f"inline const std::vector<double> {name}{{{numbers}}};")


def wave(n, step, phase, size=1.0):
    return torch.tensor([size * math.sin(step * i + phase) for i in range(n)])


print("// Made by training_expected.py with PyTorch.\n#pragma once\n\n// clang-format off\n#include <vector>\n\nnamespace training_expected {\n")

# ---- losses: value, then gradient by the first operand
a, b = wave(24, 0.7, 0.3, 2).reshape(2, 3, 1, 2, 2), wave(24, 1.1, 2.0, 2).reshape(2, 3, 1, 2, 2)
labels = torch.tensor([0, 2, 1, 1, 2, 0, 2, 2]).reshape(2, 1, 2, 2)
weights, positive = torch.tensor([0.5, 2.0, 1.25]), torch.tensor([0.5, 2.0, 3.0])
binary = (b > 0.3).double()
onehot = F.one_hot(labels, 3).movedim(-1, 1).double()
probabilities = torch.softmax(b, 1)


def dice(p, t, s):
    axes = (2, 3, 4)
    return (1 - (2 * (p * t).sum(axes) + s) / (p.sum(axes) + t.sum(axes) + s)).mean()


show("first", a)
show("second", b)
show("labels", labels)
show("weights", weights)
show("positive", positive)
show("binary", binary)
show("probabilities", probabilities)
losses = {
    "mse": lambda x: F.mse_loss(x, b),
    "l1": lambda x: F.l1_loss(x, b),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, b, beta=0.5),
    "huber": lambda x: F.huber_loss(x, b, delta=0.75),
    "cross_entropy": lambda x: F.cross_entropy(x, labels),
    "cross_entropy_weights": lambda x: F.cross_entropy(x, labels, weights),
    "cross_entropy_smoothing": lambda x: F.cross_entropy(x, labels, label_smoothing=0.1),
    "cross_entropy_ignore": lambda x: F.cross_entropy(x, labels, ignore_index=2),
    "cross_entropy_ignore_smoothing": lambda x: F.cross_entropy(x, labels, ignore_index=2, label_smoothing=0.25),
    "cross_entropy_all": lambda x: F.cross_entropy(x, labels, weights, ignore_index=1, label_smoothing=0.25),
    "bce_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, binary),
    "bce_with_logits_weights": lambda x: F.binary_cross_entropy_with_logits(x, binary, pos_weight=positive.reshape(3, 1, 1, 1)),
    "dice": lambda x: dice(torch.softmax(x, 1), onehot, 1e-5),
    "dice_smoothing": lambda x: dice(torch.softmax(x, 1), onehot, 1.0),
    "binary_dice": lambda x: dice(torch.sigmoid(x), binary, 1e-5),
    "kl_div": lambda x: F.kl_div(F.log_softmax(x, 1), probabilities, reduction="batchmean"),
    "kl_normal": lambda x: torch.distributions.kl_divergence(torch.distributions.Normal(x, torch.exp(0.5 * b)), torch.distributions.Normal(0.0, 1.0)).sum() / 2,
}
for name, loss in losses.items():
    x = a.clone().requires_grad_()
    value = loss(x)
    value.backward()
    show(name, torch.cat([value.reshape(1), x.grad.flatten()]))

# ---- penalties of a small network, tanh(x w^T) u^T: value, then gradient by w
x, w, u = wave(8, 0.9, 0.1).reshape(2, 4), wave(12, 1.7, 0.5).reshape(3, 4), wave(3, 2.3, 0.7).reshape(1, 3)
noise = wave(2 * 2 * 3, 1.3, 0.2).reshape(2, 1, 2, 3)
show("network_x", x), show("network_w", w), show("network_u", u), show("noise", noise)


def penalty(name, f):
    leaf, weight = x.clone().requires_grad_(), w.clone().requires_grad_()
    value = f(leaf, weight)
    value.backward()
    show(name, torch.cat([value.reshape(1), weight.grad.flatten()]))


def slope(leaf, weight):
    (g,) = torch.autograd.grad((torch.tanh(leaf @ weight.T) @ u.T).sum(), leaf, create_graph=True)
    return g


def path_length(leaf, weight):  # images (2, 1, 2, 3) from latents (2, 4); as in the code of StyleGAN2
    images = torch.stack([torch.tanh(leaf @ weight.T), torch.sin(leaf @ weight.T)], 1).reshape(2, 1, 2, 3)
    (g,) = torch.autograd.grad((images * noise / math.sqrt(2 * 3)).sum(), leaf, create_graph=True)
    return ((g.square().sum(1).sqrt() - 0.25).square()).mean()


penalty("r1", lambda leaf, weight: slope(leaf, weight).square().sum(1).mean())
penalty("gradient_penalty", lambda leaf, weight: (slope(leaf, weight).norm(2, 1) - 1).square().mean())
penalty("path_length", path_length)

# ---- 20 steps of each optimiser under given gradients; then with clipping
n, steps = 37, 20


def train(make, clip=lambda p: None):
    p = wave(n, 0.9, 1.0).clone().requires_grad_()
    optimiser = make([p])
    for k in range(steps):
        p.grad = wave(n, 0.37, 1.3 * k, 0.5 + 0.1 * k)
        clip([p])
        optimiser.step()
    return p


O = torch.optim
optimisers = {
    "sgd": lambda p: O.SGD(p, lr=0.05),
    "sgd_momentum": lambda p: O.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "sgd_nesterov": lambda p: O.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: O.Adam(p, lr=0.02),
    "adam_decay": lambda p: O.Adam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1),
    "adamw": lambda p: O.AdamW(p, lr=0.02, weight_decay=0.1),
    "rmsprop": lambda p: O.RMSprop(p, lr=0.01),
    "rmsprop_momentum": lambda p: O.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-3, momentum=0.8, weight_decay=0.1),
    "rmsprop_centered": lambda p: O.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.5, centered=True),
}
for name, make in optimisers.items():
    show(name, train(make))
show("clip_norm", train(optimisers["sgd_momentum"], lambda p: torch.nn.utils.clip_grad_norm_(p, 3.0)))
show("clip_value", train(optimisers["sgd_momentum"], lambda p: torch.nn.utils.clip_grad_value_(p, 0.6)))

# ---- schedules: the rates of 12 steps
S = O.lr_scheduler


def rates(make, rate=0.5):
    optimiser = O.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule, found = make(optimiser), []
    for _ in range(12):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


show("schedule_step", rates(lambda o: S.StepLR(o, 4, 0.3)))
show("schedule_cosine", rates(lambda o: S.CosineAnnealingLR(o, 12, 0.05)))
show("schedule_warm_up", rates(lambda o: S.LinearLR(o, 0.25, 1.0, 5)))
show("schedule_one_cycle", rates(lambda o: S.OneCycleLR(o, 0.5, 12, cycle_momentum=False)))
print("\n}  // namespace training_expected")
