#!/usr/bin/env python3
"""What nnU-Net 2.8.1's own functions make of small volumes, with scikit-image 0.26, SciPy 1.17 and PyTorch 2: writes nnunet.npz.

    python3 -m venv venv
    venv/bin/pip install torch nnunetv2==2.8.1 scikit-image==0.26.0 scipy numpy
    venv/bin/python nnunet.py
"""
import os

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy.ndimage import gaussian_filter
from torch import nn

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(7)
torch.manual_seed(7)
r = {}


def smooth(*shape):
    return (50 + 200 * gaussian_filter(rng.normal(size=shape), 0.8)).astype(np.float32)


def plan(spacing, schemes, masked, transpose=(0, 1, 2), patch=(6, 8, 7)):
    """What a case wants of plans.json."""
    resampling = "resample_data_or_seg_to_shape"
    kwargs = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {"spacing": spacing, "patch_size": list(patch), "normalization_schemes": schemes, "use_mask_for_norm": masked, "architecture": {},
                     "preprocessor_name": "DefaultPreprocessor", "resampling_fn_data": resampling, "resampling_fn_data_kwargs": kwargs,
                     "resampling_fn_seg": resampling, "resampling_fn_seg_kwargs": {**kwargs, "is_seg": True, "order": 1},
                     "resampling_fn_probabilities": resampling, "resampling_fn_probabilities_kwargs": {**kwargs, "order": 1}}
    intensities = {"mean": 60.5, "std": 31.25, "percentile_00_5": -20.0, "percentile_99_5": 130.0}
    return PlansManager({"transpose_forward": list(transpose), "transpose_backward": [int(i) for i in np.argsort(transpose)],
                         "configurations": {"3d_fullres": configuration}, "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
                         "foreground_intensity_properties_per_channel": {str(c): intensities for c in range(len(schemes))}})


# Resampling: whole, and slice by slice (the axis follows from the spacings).
x = smooth(5, 9, 8)
r["x"] = x
for name, shape, spacing in (("whole", (9, 7, 12), (1, 1, 1)), ("apart_d", (8, 7, 12), (4, 1, 1)), ("apart_h", (8, 14, 5), (1, 5, 1)),
                             ("apart_w", (4, 9, 12), (1, 1, 6)), ("two_thick", (8, 7, 12), (4, 4, 1)), ("only_apart", (12, 9, 8), (4, 1, 1))):
    for order, order_z in ((3, 0), (1, 0), (3, 3), (1, 1)):
        if order_z == 0 or name.startswith("apart_d"):
            r[f"resized.{name}.{order}{order_z}"] = resample_data_or_seg_to_shape(x[None], shape, spacing, (1, 1, 1), order=order, order_z=order_z,
                                                                                 force_separate_z=None)[0]

# Nonzero regions: a shell with a hole inside, one that is open along an edge, specks.
shell = np.zeros((7, 8, 9), np.float32)
shell[1:6, 2:7, 1:7] = 3
shell[2:5, 3:6, 2:5] = 0
shell[2, 3:6, 5] = 0
shell[1, 2, 5:7] = -2
shell[6, 6, 7] = 1
r["shell"] = shell
r["filled"] = create_nonzero_mask(shell[None]).astype(np.uint8)

# Whole cases: images in (z, y, x), what the network gets, and scores back to labels.
def case(name, images, spacing, plans, labels, regions=None):
    dataset = {"labels": labels, "channel_names": {str(c): "" for c in range(len(images))}, "regions_class_order": regions}
    configuration = plans.get_configuration("3d_fullres")
    properties = {"spacing": spacing}
    data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(images, None, properties, plans, configuration, dataset)
    manager = plans.get_label_manager(dataset)
    coarse = rng.normal(size=(manager.num_segmentation_heads, *data.shape[1:]))
    scores = torch.from_numpy(np.stack([gaussian_filter(s, 1) for s in coarse])).half()
    r[f"{name}.images"], r[f"{name}.data"], r[f"{name}.scores"] = images, data, scores.float().numpy()
    r[f"{name}.labels"] = convert_predicted_logits_to_segmentation_with_correct_shape(scores, plans, configuration, manager, properties).astype(np.uint8)


bordered = np.zeros((2, 9, 12, 11), np.float32)
bordered[:, 1:8, 2:11, 3:9] = np.stack([smooth(7, 9, 6), smooth(7, 9, 6)])
bordered[0, 3:6, 4:7, 5:7] = 0
case("masked", bordered, [1.5, 1.2, 0.9], plan([1.0, 1.0, 1.0], ["ZScoreNormalization"] * 2, [True, False]), {"background": 0, "a": 1, "b": 2})
case("thick", smooth(1, 12, 14, 5), [0.8, 0.9, 5.0], plan([4.0, 1.0, 1.0], ["CTNormalization"], [False], (2, 0, 1)), {"background": 0, "a": 1, "b": 2})
case("regions", np.abs(smooth(3, 8, 7, 9)) % 256, [1.0, 1.0, 1.0],
     plan([1.25, 1.0, 0.8], ["RescaleTo01Normalization", "RGBTo01Normalization", "NoNormalization"], [False] * 3, (1, 0, 2)),
     {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3}, [1, 2, 3])

# The predictor itself: two folds, windows with 16-bit sums, mirrored along two axes.
net = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.ReLU(), nn.Conv3d(4, 3, 1)).eval()
nn.init.zeros_(net[3].bias)
folds = [{k: v.clone() + 0.05 * fold * torch.randn_like(v) for k, v in net.state_dict().items()} for fold in range(2)]
plans = plan([1.0, 1.0, 1.0], ["ZScoreNormalization"], [False])
dataset = {"labels": {"background": 0, "a": 1, "b": 2}, "channel_names": {"0": ""}}
predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
predictor.manual_initialization(net, plans, plans.get_configuration("3d_fullres"), folds, dataset, "nnUNetTrainer", (0, 2))
volume = smooth(1, 12, 7, 10)
data = DefaultPreprocessor(verbose=False).run_case_npy(volume, None, {"spacing": [1.1, 0.95, 1.3]}, plans, plans.get_configuration("3d_fullres"), dataset)[0]
r["predicted.images"] = volume
r["predicted.scores"] = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).float().numpy()
r["predicted.labels"] = predictor.predict_single_npy_array(volume, {"spacing": [1.1, 0.95, 1.3]}).astype(np.uint8)
for k, fold in enumerate(folds):
    r.update({f"fold{k}.{p}": v.numpy() for p, v in fold.items()})
np.savez_compressed("nnunet.npz", **{k: np.ascontiguousarray(v) for k, v in r.items()})
