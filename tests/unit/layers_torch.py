#!/usr/bin/python3
"""Writes layers_torch.hpp: what PyTorch's layers give for numbers that both sides make by one formula. python3 layers_torch.py > layers_torch.hpp

For each case: y, then the gradients of sum(y * c) by the input and by each parameter, all in double precision. Run with PyTorch 1.13."""
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


def batch_norm(name, module, shape, training):
    """As `case`, with the buffers running_mean and running_var: set as parameters are, and written behind the gradients."""
    parameters = list(module.parameters())
    for k, b in enumerate((module.running_mean, module.running_var)):
        b.copy_(numbers(b.shape, 29, 7 * (len(parameters) + k) + 3, 53).abs() + 0.5)
    module.train(training)
    case(name, module, shape, parameters, (module.running_mean, module.running_var))


def layer(name, module, shape):
    case(name, module, shape, list(module.parameters()))


print("// Written by layers_torch.py with PyTorch %s." % torch.__version__)
print("#pragma once\n\nnamespace torch_numbers {\n// clang-format off")
layer("instance_norm", nn.InstanceNorm3d(3), (2, 3, 2, 3, 2))
layer("instance_norm_affine", nn.InstanceNorm3d(3, eps=0.1, affine=True), (2, 3, 2, 3, 2))
layer("group_norm", nn.GroupNorm(2, 4), (2, 4, 2, 2, 3))
layer("group_norm_plain", nn.GroupNorm(3, 3, eps=0.01, affine=False), (2, 3, 5))
batch_norm("batch_norm", nn.BatchNorm3d(3), (2, 3, 2, 3, 2), True)
batch_norm("batch_norm_inference", nn.BatchNorm3d(3), (2, 3, 2, 3, 2), False)
batch_norm("batch_norm_plain", nn.BatchNorm3d(2, eps=0.01, momentum=0.3, affine=False), (1, 2, 3, 1, 2), True)
batch_norm("batch_norm_plain_inference", nn.BatchNorm3d(2, eps=0.01, affine=False), (1, 2, 3, 1, 2), False)
layer("upsample_nearest", nn.Upsample(scale_factor=2), (2, 1, 1, 2, 3))
layer("upsample_nearest_axes", nn.Upsample(scale_factor=(1, 2, 3)), (1, 2, 2, 1, 2))
layer("upsample_trilinear", nn.Upsample(scale_factor=2, mode="trilinear"), (2, 1, 1, 2, 3))
layer("upsample_trilinear_axes", nn.Upsample(scale_factor=(3, 1, 2), mode="trilinear"), (1, 2, 3, 2, 2))
layer("upsample_corners", nn.Upsample(scale_factor=(2, 3, 1), mode="trilinear", align_corners=True), (1, 2, 3, 2, 2))
print("// clang-format on\n}  // namespace torch_numbers")
