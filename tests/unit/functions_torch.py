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


# Resizing
def resize(name, shape, **how):
    case(name, lambda x: F.interpolate(x, **how), shape)


resize("resize_nearest_up", (1, 2, 2, 3, 2), size=(3, 7, 2), mode="nearest")
resize("resize_nearest_down", (1, 1, 6, 7, 5), size=(3, 3, 4), mode="nearest")
resize("resize_nearest_factor", (1, 1, 4, 5, 3), scale_factor=(1.5, 0.7, 2.4), mode="nearest")  # not to twice an extent: there its gradient is not that of its values
resize("resize_exact_up", (1, 1, 2, 3, 2), size=(3, 7, 4), mode="nearest-exact")
resize("resize_exact_down", (1, 1, 6, 7, 9), size=(3, 3, 3), mode="nearest-exact")
resize("resize_linear", (1, 2, 3, 4, 2), size=(5, 3, 2), mode="trilinear")
resize("resize_linear_factor", (1, 1, 3, 4, 5), scale_factor=(1.5, 0.6, 1.1), mode="trilinear")
resize("resize_linear_corners", (1, 1, 3, 4, 2), size=(5, 2, 1), mode="trilinear", align_corners=True)


def cubic(name, shape, **how):  # of planes, as volumes of depth 1
    case(name, lambda x: F.interpolate(x[:, :, 0], mode="bicubic", **how)[:, :, None], shape)


cubic("resize_cubic_up", (1, 2, 1, 3, 4), size=(7, 6))
cubic("resize_cubic_down", (1, 1, 1, 7, 6), size=(3, 4))
cubic("resize_cubic_factor", (1, 1, 1, 3, 5), scale_factor=(1.7, 0.7))
cubic("resize_cubic_corners", (1, 1, 1, 3, 5), size=(7, 4), align_corners=True)


# Numbers as indices: those that the C++ test makes
index = (torch.arange(6) * 5 % 4).reshape(2, 3)
table = parameters((4, 3))
case("embedding", lambda x: F.embedding(index, table[0]) * x, (2, 3, 3), table)
case("take", lambda x: torch.index_select(x, 1, torch.tensor([2, 0, 2, 1, 2])), (2, 3, 2))
case("gather_middle", lambda x: torch.gather(x, 1, (torch.arange(24) * 7 % 3).reshape(2, 6, 2)), (2, 3, 2))
case("gather_last", lambda x: torch.gather(x, 2, (torch.arange(6) * 5 % 4).reshape(2, 3, 1)), (2, 3, 4))


# Rearranging, borders, norms
case("roll", lambda x: torch.roll(x, 2, 1), (2, 5, 3))
case("roll_back", lambda x: torch.roll(x, -4, 2), (2, 5, 3))
case("shuffle", lambda x: x.reshape(1, 2, 2, 1, 3, 2, 1, 2).permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(1, 2, 4, 1, 6), (1, 12, 2, 1, 2))
case("shuffle_planes", lambda x: F.pixel_shuffle(x[:, :, 0], 2)[:, :, None], (1, 8, 1, 2, 3))
case("unshuffle_planes", lambda x: F.pixel_unshuffle(x[:, :, 0], 2)[:, :, None], (1, 2, 1, 4, 6))
case("circular_pad", lambda x: F.pad(x, (2, 1, 0, 1, 3, 0), mode="circular"), (1, 2, 3, 2, 3))
case("norm", lambda x: torch.linalg.vector_norm(x, dim=(1, 2)), (3, 2, 4))
case("max_pool_uneven", lambda x: F.max_pool3d(F.pad(x, (0, 1, 1, 0, 0, 2), value=-torch.inf), 3, 2), (1, 2, 4, 5, 6))
case("avg_pool_uneven", lambda x: F.avg_pool3d(F.pad(x, (0, 1, 1, 0, 0, 2)), 3, 2), (1, 2, 4, 5, 6))
weights = parameters((2, 2, 3, 2, 3))
case("conv_same_upper", lambda x: F.conv3d(F.pad(x, (0, 1, 0, 1, 1, 1)), weights[0], stride=2), (1, 2, 3, 4, 6), weights)


# Sampling: the grid is a parameter, 1.5 times as large as the volume
for mode in ("bilinear", "nearest"):
    for padding in ("zeros", "border", "reflection"):
        for corners in (False, True):
            grid = parameters((2, 2, 1, 3, 3))
            name = "sample_%s_%s%s" % (mode, padding, "_corners" if corners else "")
            case(name, lambda x: F.grid_sample(x, grid[0] * 1.5, mode, padding, corners), (2, 2, 2, 3, 4), grid)


# Lines and planes
layer("conv2d", nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2), (2, 2, 4, 3))
layer("conv2d_dilated", nn.Conv2d(2, 2, 3, padding=2, dilation=2, bias=False), (1, 2, 4, 3))
layer("conv1d", nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 2, 7))
layer("max_pool2d", nn.MaxPool2d(3, stride=2, padding=1), (1, 2, 5, 4))
layer("avg_pool1d", nn.AvgPool1d(2), (1, 2, 6))

print("// clang-format on\n}  // namespace torch_numbers")
