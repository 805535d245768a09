#!/usr/bin/python3
"""Writes functions_torch.hpp, as layers_torch.py does for layers: python3 functions_torch.py > functions_torch.hpp

For each case: y, then the gradients of sum(y * c) by the input and by each parameter, all in double precision. Run with PyTorch 2.15."""
import torch
from torch import nn
from torch.nn import functional as F

from torch_cases import case, layer, numbers, write


def parameters(*shapes):
    return [nn.Parameter(torch.zeros(s)) for s in shapes]


def product(name, left, right):
    (b,) = parameters(right)
    case(name, lambda x: torch.matmul(x, b), left, [b])


print("// Written by functions_torch.py with PyTorch %s." % torch.__version__)
print("#pragma once\n\nnamespace torch_numbers {\n// clang-format off")

# Products
product("matmul_batched", (2, 3, 2, 3), (2, 3, 3, 2))
product("matmul_one_matrix", (2, 2, 2, 3), (3, 4))
product("matmul_leading", (2, 3), (2, 2, 3, 2))
product("matmul_broadcast", (2, 1, 2, 3), (3, 3, 2))
product("matmul_row", (3,), (2, 3, 2))
product("matmul_column", (2, 2, 3), (3,))
product("matmul_dot", (5,), (5,))
layer("linear_rank_1", nn.Linear(3, 4), (3,))
layer("linear_rank_4", nn.Linear(3, 4), (2, 1, 2, 3))
layer("linear_rank_5", nn.Linear(3, 2, bias=False), (2, 1, 2, 2, 3))

# Activations, over -5 .. 5
for name in "hardtanh relu6 hardshrink softshrink selu celu mish logsigmoid softsign tanhshrink".split():
    case(name, lambda x: getattr(F, name)(5 * x), (2, 3, 2))
case("hardsigmoid", lambda x: F.relu6(5 * x + 3) / 6, (2, 3, 2))  # F.hardsigmoid divides by the float 6
case("hardswish", lambda x: 5 * x * F.relu6(5 * x + 3) / 6, (2, 3, 2))
case("hardtanh_limits", lambda x: F.hardtanh(5 * x, -0.5, 2.0), (7,))
case("threshold", lambda x: F.threshold(5 * x, 0.25, -3.0), (7,))
case("celu_alpha", lambda x: F.celu(5 * x, 0.5), (7,))
case("gelu_tanh", lambda x: F.gelu(5 * x, approximate="tanh"), (2, 3, 2))
case("softmin", lambda x: F.softmin(5 * x, 1), (2, 3, 2))
case("glu", lambda x: F.glu(5 * x, 1), (2, 4, 3))
layer("prelu", nn.PReLU(), (2, 3, 2))
layer("prelu_channels", nn.PReLU(3), (2, 3, 1, 2, 2))
slope = parameters((1,))
case("prelu_vector", lambda x: F.prelu(x, slope[0]), (5,), slope)

print("// clang-format on\n}  // namespace torch_numbers")
