#!/usr/bin/python3
"""Writes losses_monai.hpp: what MONAI's losses give, as functions_torch.py: python3 losses_monai.py > losses_monai.hpp. Run with MONAI 1.6.1 and
PyTorch 2.15."""
import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss
from torch import nn

from torch_cases import case, numbers

labels = (torch.arange(24) * 5 % 3).reshape(2, 1, 2, 2, 3).double()
binary = (torch.arange(72) * 7 % 5 < 2).reshape(2, 3, 2, 2, 3).double()


def loss(name, module, target):
    case(name, lambda x: module(3 * x, target).reshape(1), (2, 3, 2, 2, 3))


print("// Written by losses_monai.py.\n#pragma once\n\nnamespace monai_numbers {\n// clang-format off")
classes = dict(softmax=True, to_onehot_y=True)
loss("dice", DiceLoss(**classes), labels)
loss("dice_foreground", DiceLoss(include_background=False, **classes), labels)
loss("dice_batch", DiceLoss(batch=True, **classes), labels)
loss("dice_squared", DiceLoss(squared_pred=True, **classes), labels)
loss("dice_jaccard", DiceLoss(jaccard=True, **classes), labels)


class Checked(nn.Module):
    """A formula in double precision, close to what MONAI rounds to single precision on the way."""

    def __init__(self, formula, monai):
        super().__init__()
        self.formula, self.monai = formula, monai

    def forward(self, x, y):
        value = self.formula(x, y)
        assert abs(value.item() - self.monai(x, y).item()) < 1e-6
        return value


def smooth(x, y):
    p, t = torch.softmax(x, 1), torch.cat([(y == c).double() for c in range(3)], 1)
    sums = lambda v: v.sum((0, 2, 3, 4))[1:]
    return 1 - ((2 * sums(p * t) + 0.5) / (sums(p * p) + sums(t * t) + 0.25)).mean()


monai_smooth = DiceLoss(smooth_nr=0.5, smooth_dr=0.25, include_background=False, batch=True, squared_pred=True, **classes)
loss("dice_smooth", Checked(smooth, monai_smooth), labels)
loss("dice_sigmoid", DiceLoss(sigmoid=True, include_background=False, batch=True), binary)
loss("dice_ce", DiceCELoss(lambda_dice=0.75, lambda_ce=0.5, **classes), labels)


class Ignoring(nn.Module):  # as nnU-Net masks the voxels of a label
    def forward(self, x, y):
        kept, p = (y != 1).double(), torch.softmax(x, 1)
        t = torch.cat([(y == c).double() for c in range(3)], 1) * kept
        sums = lambda v: v.sum((0, 2, 3, 4))[1:]
        return 1 - ((2 * sums(p * t) + 1) / (sums(p * kept) + sums(t) + 1)).mean()


loss("dice_ignoring", Ignoring(), labels)


def scales(x):
    return [x, x[:, :, :1, :, ::2], x[:, :, :, :1, :1]]


def deep(x, y):
    size = lambda p: nn.functional.interpolate(y, p.shape[2:], mode="nearest-exact")
    return sum(0.5**i * DiceLoss(**classes)(p, size(p)) for i, p in enumerate(scales(x)))


loss("deep", Checked(deep, lambda x, y: DeepSupervisionLoss(DiceLoss(**classes))(scales(x), y)), labels)
print("// clang-format on\n}  // namespace monai_numbers")
