#!/usr/bin/python3
"""Writes layers_torch.hpp: what PyTorch's layers give for numbers that both sides make by one formula. python3 layers_torch.py > layers_torch.hpp

For each case: y, then the gradients of sum(y * c) by the input and by each parameter, all in double precision. Run with PyTorch 1.13."""
import torch
from torch import nn

from torch_cases import case, layer, numbers


def batch_norm(name, module, shape, training):
    """As `case`, with the buffers running_mean and running_var: set as parameters are, and written behind the gradients."""
    parameters = list(module.parameters())
    for k, b in enumerate((module.running_mean, module.running_var)):
        b.copy_(numbers(b.shape, 29, 7 * (len(parameters) + k) + 3, 53).abs() + 0.5)
    module.train(training)
    case(name, module, shape, parameters, (module.running_mean, module.running_var))


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
layer("layer_norm", nn.LayerNorm(6), (2, 3, 6))
layer("layer_norm_axes", nn.LayerNorm((3, 2), eps=0.1), (4, 3, 2))
layer("layer_norm_plain", nn.LayerNorm(4, elementwise_affine=False), (3, 4))
weight = nn.Parameter(torch.ones(5))
case("rms_norm", lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 2.0**-23) * weight, (3, 5), [weight])
case("rms_norm_axes", lambda x: x * torch.rsqrt((x * x).mean((1, 2), keepdim=True) + 0.1), (3, 5, 2))
layer("adaptive_max_pool", nn.AdaptiveMaxPool3d((2, 1, 3)), (1, 2, 3, 2, 5))
layer("zero_pad", nn.ConstantPad3d((2, 0, 1, 0, 1, 2), 0.0), (1, 2, 2, 1, 3))
layer("replicate_pad", nn.ReplicationPad3d(1), (2, 1, 2, 3, 1))
layer("replicate_pad_sides", nn.ReplicationPad3d((0, 3, 1, 0, 0, 2)), (1, 2, 2, 1, 3))
layer("reflect_pad", nn.ReflectionPad3d(1), (1, 2, 2, 3, 2))
layer("reflect_pad_sides", nn.ReflectionPad3d((2, 1, 0, 0, 0, 2)), (1, 1, 3, 1, 4))


class SqueezeExcitation(nn.Module):
    """torchvision's, for volumes."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv3d(channels, squeezed, 1)
        self.fc2 = nn.Conv3d(squeezed, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)))))


layer("squeeze_excitation", SqueezeExcitation(4, 2), (2, 4, 2, 1, 2))


class Equalized(nn.Module):
    """StyleGAN2's fully connected layer."""

    def __init__(self, inputs, outputs, lr_mul=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain, self.lr_mul = lr_mul / inputs**0.5, lr_mul

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.gain, self.bias * self.lr_mul)


class EqualizedConv(nn.Conv3d):
    def forward(self, x):
        return self._conv_forward(x, self.weight / self.weight[0].numel() ** 0.5, self.bias)


class Mapping(nn.Module):
    def __init__(self, z, w, layers):
        super().__init__()
        self.layers = nn.ModuleList(Equalized(z if i == 0 else w, w, 0.01) for i in range(layers))

    def forward(self, x):
        x = x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.2) * 2**0.5
        return x


layer("equalized_linear", Equalized(3, 4, 0.5), (2, 3))
layer("equalized_conv", EqualizedConv(2, 4, (1, 2, 3), padding=(0, 1, 1), stride=(1, 2, 1), groups=2), (1, 2, 2, 3, 3))
layer("mapping", Mapping(3, 4, 2), (2, 3))
print("// clang-format on\n}  // namespace torch_numbers")
