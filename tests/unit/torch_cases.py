"""What layers_torch.py and functions_torch.py share: numbers that both sides make by one formula, and how cases are written."""
import torch
from torch import nn

torch.set_default_dtype(torch.float64)


def numbers(shape, multiplier, shift, modulus):
    n = torch.Size(shape).numel()
    return torch.tensor([((i * multiplier + shift) % modulus) / (modulus // 2) - 1 for i in range(n)]).reshape(shape)


def case(name, f, shape, parameters=(), buffers=()):
    x = numbers(shape, 37, 11, 101).requires_grad_()
    for k, p in enumerate(parameters):
        p.data = numbers(p.shape, 29, 7 * k + 3, 53)
        p.requires_grad_()
    y = f(x)
    (y * numbers(y.shape, 53, 17, 97)).sum().backward()
    write(name, [y.detach(), x.grad] + [p.grad for p in parameters] + list(buffers))


def write(name, tensors):
    values = ", ".join("%.17g" % v for t in tensors for v in t.reshape(-1).tolist())
    print("inline constexpr double %s[]{%s};" % (name, values))


def layer(name, module, shape):
    case(name, module, shape, list(module.parameters()))
