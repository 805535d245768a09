#!/usr/bin/env python3
"""Predictions of overlapping windows by MONAI 1.6.1 and by nnU-Net 2.8.1 (its functions for positions, weights and padding, summed in
float32 where nnU-Net sums in float16), with PyTorch 2: writes windows.npz.

    python3 -m venv venv
    venv/bin/pip install torch monai==1.6.1 nnunetv2==2.8.1 scipy numpy
    venv/bin/python windows.py
"""
import itertools
import os

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from monai.inferers import sliding_window_inference
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
from torch import nn

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(5)
# A norm over the window: what it makes of a voxel depends on the window.
net = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.InstanceNorm3d(2), nn.ReLU(), nn.Conv3d(2, 1, 1)).eval()
window = (4, 6, 5)
volumes = {"large": torch.randn(1, 1, 9, 13, 10), "thin": torch.randn(1, 1, 3, 13, 4), "small": torch.randn(1, 1, 3, 4, 3)}


def nnunet(x, step, gaussian, mirror):
    data, crop = pad_nd_image(x[0], window, "constant", {"value": 0}, True, None)
    weight = compute_gaussian(window, 1.0 / 8, 10, torch.float32, torch.device("cpu")) if gaussian else torch.ones(window)
    sums, weights = torch.zeros(data.shape), torch.zeros(data.shape[1:])
    for at in itertools.product(*compute_steps_for_sliding_window(tuple(data.shape[1:]), window, step)):
        part = tuple(slice(a, a + w) for a, w in zip(at, window))
        tile = data[(slice(None), *part)][None]
        axes = [c for n in range(len(mirror) + 1) for c in itertools.combinations([m + 2 for m in mirror], n)]
        mean = sum(torch.flip(net(torch.flip(tile, c)), c) for c in axes) / len(axes)
        sums[(slice(None), *part)] += mean[0] * weight
        weights[part] += weight
    return (sums / weights)[(slice(None), *crop[1:])][None]


results = {}
with torch.no_grad():
    for name, x in volumes.items():
        results[f"volume.{name}"] = x
        for overlap, mode in ((0.25, "constant"), (0.5, "gaussian"), (0.7, "gaussian"), (0.0, "constant")):
            results[f"monai.{name}.{overlap}.{mode}"] = sliding_window_inference(x, window, 2, net, overlap, mode)
        for padding in ("reflect", "replicate", "circular"):
            if name != "large":
                results[f"monai.{name}.{padding}"] = sliding_window_inference(x, window, 1, net, 0.25, "gaussian", padding_mode=padding)
        if name != "large":
            results[f"monai.{name}.cval"] = sliding_window_inference(x, window, 1, net, 0.25, cval=0.5)
        results[f"nnunet.{name}"] = nnunet(x, 0.5, True, (0, 1, 2))
        results[f"nnunet.{name}.one_axis"] = nnunet(x, 0.5, True, (1,))
        results[f"nnunet.{name}.third"] = nnunet(x, 1 / 3, False, ())
    results.update({f"net.{k}": v for k, v in net.state_dict().items()})
np.savez_compressed("windows.npz", **{k: v.numpy() for k, v in results.items()})
