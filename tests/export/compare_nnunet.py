#!/usr/bin/env python3
"""nnU-Net's own predictor beside the program that tools/export/nnunet.py writes: `compare_nnunet.py FOLDER [REGEX]` makes small trained models (random
weights) and cases of a head, lets both segment them, and prints the share of equal voxels; 1 if one is below 99.99 %. Wants nnunetv2, and libnifti.

    python3 -m venv venv
    venv/bin/pip install torch nnunetv2==2.8.1
    venv/bin/python tests/export/compare_nnunet.py build/nnunet

Compiled and run one after the other, some ten minutes. Environment: CXX, CXXFLAGS; VOLUTE_MRI, the head (Debian: mricron-data has it)."""
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.abspath(os.path.join(here, "../.."))
sys.path.insert(0, os.path.join(root, "tools/export"))
for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/tmp")
import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402
import torch  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: E402

import nnunet  # noqa: E402

CXX = shlex.split(os.environ.get("CXX", "g++"))
FLAGS = os.environ.get("CXXFLAGS", "-O1 -march=native").split()
Z, CT = "ZScoreNormalization", "CTNormalization"
LABELS = {"background": 0, "a": 1, "b": 2, "c": 3}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3}


def architecture(kind, features, strides, kernels):
    stages = len(features)
    residual = kind == "ResidualEncoderUNet"
    return {"network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}", "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            "arch_kwargs": {"n_stages": stages, "features_per_stage": features, "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": kernels,
                            "strides": strides, "n_blocks_per_stage" if residual else "n_conv_per_stage": [1, 2, 2][:stages] if residual else [2] * stages,
                            "n_conv_per_stage_decoder": [2 - residual] * (stages - 1), "conv_bias": True,
                            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}}


def model(folder, spacing, patch, schemes, masked=None, transpose=(0, 1, 2), mirror=(0, 1, 2), kind="PlainConvUNet", labels=None, order=None, folds=1):
    """A folder as nnUNetv2_train leaves it."""
    labels = labels or LABELS
    flat = patch[0] * 2 <= patch[1]
    strides, kernels = [[1, 1, 1], [1 if flat else 2, 2, 2], [2, 2, 2]], [[1, 3, 3] if flat else [3, 3, 3], [3, 3, 3], [3, 3, 3]]
    resampling = {f"resampling_fn_{n}": "resample_data_or_seg_to_shape" for n in ("data", "seg", "probabilities")}
    for n, spline in ("data", 3), ("seg", 1), ("probabilities", 1):
        resampling[f"resampling_fn_{n}_kwargs"] = {"is_seg": n == "seg", "order": spline, "order_z": 0, "force_separate_z": None}
    configuration = {"data_identifier": "x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": patch, "spacing": spacing,
                     "normalization_schemes": schemes, "use_mask_for_norm": masked or [False] * len(schemes), "batch_dice": False,
                     "architecture": architecture(kind, [8, 12, 16], strides, kernels), **resampling}
    intensities = {"mean": 40.0, "median": 40.0, "std": 55.5, "min": -900.0, "max": 900.0, "percentile_00_5": -95.0, "percentile_99_5": 190.0}
    plans = {"dataset_name": "Dataset999_x", "plans_name": "nnUNetPlans", "transpose_forward": list(transpose),
             "transpose_backward": [int(i) for i in np.argsort(transpose)], "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
             "configurations": {"3d_fullres": configuration},
             "foreground_intensity_properties_per_channel": {str(c): intensities for c in range(len(schemes))}}
    dataset = {"channel_names": {str(c): f"channel {c}" for c in range(len(schemes))}, "labels": labels, "file_ending": ".nii.gz", "numTraining": 1}
    if order:
        dataset["regions_class_order"] = order
    os.makedirs(folder, exist_ok=True)
    for name, value in ("plans", plans), ("dataset", dataset):
        with open(f"{folder}/{name}.json", "w") as f:
            json.dump(value, f, indent=1)
    manager = PlansManager(plans)
    for fold in range(folds):
        torch.manual_seed(fold)
        net = nnUNetTrainer.build_network_architecture(manager, manager.get_configuration("3d_fullres"), len(schemes), len(labels) - bool(order), True)
        with torch.no_grad():
            for path, p in net.named_parameters():
                if p.dim() == 1:  # norms and biases as after some training
                    p.add_(0.2 * torch.randn_like(p))
                elif "seg_layers" in path:
                    p.copy_(torch.randn_like(p) * p[0].numel() ** -0.5)
        os.makedirs(f"{folder}/fold_{fold}", exist_ok=True)
        torch.save({"network_weights": net.state_dict(), "trainer_name": "nnUNetTrainer", "init_args": {"configuration": "3d_fullres"},
                    "inference_allowed_mirroring_axes": mirror}, f"{folder}/fold_{fold}/checkpoint_final.pth")


def head(spacing, codes="LPS", size=None, low=None):
    """The head in voxels of this spacing (x, y, z), with axes that run to other sides; its middle, if a size is given."""
    x = sitk.Cast(sitk.ReadImage(os.environ.get("VOLUTE_MRI", "/usr/share/mricron/templates/ch2.nii.gz")), sitk.sitkFloat32)
    full = [int(round(n * s / t)) for n, s, t in zip(x.GetSize(), x.GetSpacing(), spacing)]
    turned = sitk.Euler3DTransform(x.TransformContinuousIndexToPhysicalPoint([n / 2 for n in x.GetSize()]), 0.1, -0.05, 0.15)
    x = sitk.Resample(x, full, sitk.Transform(), sitk.sitkLinear, x.GetOrigin(), spacing, x.GetDirection(), 0.0)
    if size:
        at = [(n - m) // 2 for n, m in zip(full, size)]
        x = sitk.RegionOfInterest(x, size, at)
    if low is not None:
        x = x * 4.0 + low
    x = sitk.DICOMOrient(x, codes)
    d = np.array(turned.GetMatrix()).reshape(3, 3) @ np.array(x.GetDirection()).reshape(3, 3)
    x.SetDirection(d.ravel())
    return x


CASES = {
    # name: (model, images)
    "zscore": (dict(spacing=[3.0, 3.0, 3.0], patch=[32, 32, 32], schemes=[Z]), lambda: [head([2.3, 3.4, 3.1], "RSA")]),
    "ct_thick": (dict(spacing=[9.0, 2.4, 2.4], patch=[16, 48, 48], schemes=[CT], transpose=[2, 0, 1], mirror=(1, 2), folds=2),
                 lambda: [sitk.Cast(head([12.0, 2.0, 2.7], "LPS", low=-150.0), sitk.sitkInt16)]),
    "two_channels": (dict(spacing=[3.5, 3.0, 3.2], patch=[32, 32, 32], schemes=[Z, "RescaleTo01Normalization"], masked=[True, False], mirror=None,
                          kind="ResidualEncoderUNet"), lambda: [head([3.0, 3.0, 3.0], "AIL"), sitk.SmoothingRecursiveGaussian(head([3.0, 3.0, 3.0], "AIL"), 4.0)]),
    "small": (dict(spacing=[2.0, 2.0, 2.0], patch=[32, 32, 32], schemes=[Z], masked=[True]), lambda: [head([2.2, 2.0, 1.9], "LPI", [40, 21, 17])]),
    "regions": (dict(spacing=[3.0, 3.0, 3.0], patch=[32, 32, 32], schemes=["NoNormalization"], labels=REGIONS, order=[1, 2, 3], mirror=(0,)),
                lambda: [head([3.0, 3.0, 3.0], "PIR")]),
}


def bordered(image, voxels=5):
    """Zeros around, and a hole of zeros inside."""
    a = sitk.GetArrayFromImage(image)
    a[:voxels], a[:, -voxels:], a[:, :, :2 * voxels] = 0, 0, 0
    middle = tuple(slice(n // 2, n // 2 + 3) for n in a.shape)
    a[middle] = 0
    result = sitk.GetImageFromArray(a)
    result.CopyInformation(image)
    return result


def compiled(folder, ns):
    source, program = f"{folder}/{ns}_segment.cpp", f"{folder}/segment"
    start = time.perf_counter()
    p = subprocess.run([*CXX, "-std=c++20", *FLAGS, "-fconstexpr-ops-limit=1000000000", "-fconstexpr-loop-limit=10000000", "-Wall", "-Wextra", "-I",
                        f"{root}/include", "-I", folder, "-I/usr/include/nifti", source, "-o", program, "-pthread", "-lniftiio", "-lz"],
                       capture_output=True, text=True)
    if p.returncode or p.stderr:
        print(p.stderr[:2000])
    return program, time.perf_counter() - start


def compare(name, folder):
    settings, images = CASES[name]
    folder = os.path.join(folder, name)
    model(f"{folder}/model", **settings)
    files = []
    for c, image in enumerate(images()):
        files.append(f"{folder}/case_{c:04}.nii.gz")
        sitk.WriteImage(bordered(image), files[-1])
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(f"{folder}/model", None)
        predictor.predict_from_files_sequential([files], [f"{folder}/nnunet"])
    theirs = time.perf_counter() - start
    ns = nnunet.export(f"{folder}/model", f"{folder}/net")
    program, seconds = compiled(f"{folder}/net", ns)
    start = time.perf_counter()
    subprocess.run([program, f"{folder}/net", *files, f"{folder}/volute.nii.gz"], check=True, capture_output=True)
    ours = time.perf_counter() - start
    a, b = sitk.ReadImage(f"{folder}/nnunet.nii.gz"), sitk.ReadImage(f"{folder}/volute.nii.gz")
    same_space = np.allclose(a.GetDirection(), b.GetDirection(), atol=1e-5) and np.allclose(a.GetOrigin(), b.GetOrigin(), atol=1e-3) and \
        np.allclose(a.GetSpacing(), b.GetSpacing())
    x, y = sitk.GetArrayFromImage(a), sitk.GetArrayFromImage(b)
    different = int((x != y).sum()) if x.shape == y.shape else x.size
    share = 1 - different / x.size
    good = share >= 0.9999 and same_space
    shares = ", ".join(f"{v:.2f}" for v in np.bincount(x.ravel()) / x.size)
    print(f"{name}: {'equal' if good else 'NOT equal'}: {100 * share:.4f} % of {x.size} voxels ({different} differ), {'the same' if same_space else 'ANOTHER'} space; "
          f"labels' shares {shares}; nnU-Net {theirs:.1f} s, volute {ours:.1f} s, compiled in {seconds:.0f} s", flush=True)
    return good


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = re.compile(sys.argv[2] if len(sys.argv) > 2 else ".*")
    results = [compare(name, os.path.abspath(sys.argv[1])) for name in CASES if wanted.fullmatch(name)]
    sys.exit(0 if results and all(results) else 1)
