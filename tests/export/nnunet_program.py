#!/usr/bin/env python3
"""The program around an exported nnU-Net, with a network that is a ReLU: `nnunet_program.py FOLDER` writes it, `nnunet_program.py FOLDER PROGRAM` judges what
it makes of two files. Plain Python: what nnU-Net's own network and predictor make of cases is compared by compare_nnunet.py."""
import os
import struct
import subprocess
import sys
import types

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
import description  # noqa: E402
import nnunet  # noqa: E402
from project import Project  # noqa: E402

NET = {"name": "Threshold", "origin": "tests.Threshold", "inputs": [{"name": "x", "shape": [1, 2, 6, 8, 8], "type": "F32", "id": "1"}],
       "scopes": [{"parent": -1, "path": "", "class": "tests.Threshold", "name": ""},
                  {"parent": 0, "path": "act", "class": "torch.nn.modules.activation.ReLU", "name": ""}],
       "steps": [{"op": "aten.relu.default", "in": {"self": "%1"}, "out": [["2", [1, 2, 6, 8, 8], "F32"]], "scope": 1, "line": -1}],
       "parameters": {}, "constants": {}, "results": "%2", "lines": [], "notes": []}


def write(folder):
    """Region 300 is where the first channel is above 0, region 7 where the second one is, too."""
    resampling = {}
    for key, order in ("resampling_fn_data", 3), ("resampling_fn_probabilities", 1):
        resampling.update({key: "resample_data_or_seg_to_shape", key + "_kwargs": {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}})
    configuration = {"patch_size": [6, 8, 8], "spacing": [2.0, 1.5, 1.0], "normalization_schemes": ["NoNormalization"] * 2, "use_mask_for_norm": [False] * 2,
                     **resampling}
    plans = {"image_reader_writer": "SimpleITKIO", "transpose_forward": [2, 0, 1]}
    dataset = {"file_ending": ".nii.gz", "channel_names": {"0": "first", "1": "second"}, "labels": {"background": 0, "whole": [300, 7], "core": 7}}
    labels = types.SimpleNamespace(has_regions=True, all_labels=[0, 7, 300], regions_class_order=[300, 7])
    plan = nnunet.Plan(plans, configuration, dataset, labels, (1,))
    project = Project(NET)
    ns = project.write(folder)
    description.write_safetensors(os.path.join(folder, f"{ns}.safetensors"), {})
    texts = {f"{ns}_plan.hpp": plan.header(ns), f"{ns}_segment.cpp": nnunet.program(ns, project.w.root, plan, [f"{ns}.safetensors"] * 2, "")}
    for file, text in texts.items():
        with open(os.path.join(folder, file), "w") as f:
            f.write(text)


def nifti(path, extent, spacing, voxels, frames=1):
    """Whole numbers of 16 bits; extents and spacing of x, y, z."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 4, *extent, frames, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, *spacing, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    with open(path, "wb") as f:
        f.write(header + struct.pack(f"<{len(voxels)}h", *voxels))


def judge(folder, program):
    extent, spacing = (7, 9, 11), (2, 1, 1.5)  # the network's depth is x
    n = 7 * 9 * 11
    first, second = [i * 37 % 11 - 5 for i in range(n)], [i * 53 % 7 - 3 for i in range(n)]
    files = [os.path.join(folder, name) for name in ("case_0000.nii", "case_0001.nii", "case.nii")]
    nifti(files[0], extent, spacing, first)
    nifti(files[1], extent, spacing, second)
    subprocess.run([program, "--threads", "2", folder, *files], check=True)
    with open(files[2], "rb") as f:
        got = f.read()
    assert struct.unpack_from("<h", got, 70)[0] == 512, "labels of 16 bits"
    labels = list(struct.unpack_from(f"<{n}H", got, 352))
    assert labels == [7 if b > 0 else 300 if a > 0 else 0 for a, b in zip(first, second)], "another result"

    def refused(text, *arguments):
        p = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert p.returncode == 2 and text in p.stderr, p.stderr
    refused("threshold_net_segment [--threads N] FOLDER-OF-WEIGHTS IMAGE_0000.nii.gz IMAGE_0001.nii.gz RESULT.nii.gz", folder, files[0], files[2])
    refused("none.nii: cannot be opened", folder, files[0], "none.nii", files[2])
    nifti(files[1], extent, (2, 1, 1.25), second)
    refused(f"{files[1]}: expected the spacing of {files[0]}, found another", folder, *files)
    nifti(files[1], extent, spacing, second * 2, 2)
    refused(f"{files[1]}: expected one volume, found several", folder, *files)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        judge(*sys.argv[1:3])
    else:
        write(sys.argv[1])
