#!/usr/bin/env python3
"""What the exporter refuses to write: each case changes one thing in a description that is written otherwise. Plain Python."""
import copy
import os
import shutil
import sys
import tempfile
import types

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../tools/export"))
import nnunet  # noqa: E402
import volute_export  # noqa: E402
from description import Refused  # noqa: E402
from project import Project  # noqa: E402


def network(op, arguments, type="F32", shape=[1, 2, 4, 4, 4]):
    return {"name": "Net", "origin": "tests.Net", "inputs": [{"name": "x", "shape": shape, "type": "F32", "id": "1"}],
            "scopes": [{"parent": -1, "path": "", "class": "tests.Net", "name": ""},
                       {"parent": 0, "path": "act", "class": "torch.nn.modules.activation.Softplus", "name": ""}],
            "steps": [{"op": op, "in": {"self": "%1", **arguments}, "out": [["2", shape, type]], "scope": 1, "line": 0}],
            "parameters": {}, "constants": {}, "results": "%2", "lines": ["net.py:7: return self.act(x)"], "notes": []}


good = network("aten.softplus.default", {"beta": 1, "threshold": 20})
cases = [
    (network("aten.softplus.default", {"beta": 2, "threshold": 20}), "beta = 2 is not supported"),
    (network("aten.softplus.default", {"beta": 1, "threshold": 20, "new": 0}), "does not know the argument new"),
    (network("aten.cummax.default", {"dim": 1}), "has no translation to C++"),
    (network("aten.relu.default", {}, "F64"), "computes in F64"),
    (network("aten.to.dtype", {"dtype": "U8"}, "U8"), "makes numbers of type U8 of real ones"),
    (network("aten.div.Tensor_mode", {"other": 2, "rounding_mode": "up"}), "rounding_mode = up is not supported"),
    (network("aten.prod.dim_int", {"dim": 0, "keepdim": False, "dtype": None}, shape=[17, 2]), "multiplies 17 numbers"),
    (network("aten.view.default", {"size": [1] * 9}, shape=[1] * 9), "makes a tensor of 9 axes"),
    (network("aten.relu.default", {}, shape=[2, 0]), "makes a tensor without elements"),
    (network("aten.sort.default", {"dim": 1, "descending": True}, shape=[2, 17]), "puts 17 numbers in order"),
    (network("aten.scatter.value", {"dim": 1, "index": "%1", "value": 1}, shape=[2, 17]), "scatters more than a few numbers along an axis"),
    (network("aten.scatter_reduce.two", {"dim": 1, "index": "%1", "src": "%1", "reduce": "sum", "include_self": False}, shape=[2, 4]),
     "include_self = False is not supported"),
    (network("aten.index_put.default", {"indices": ["%1"], "values": "%1", "accumulate": False}), "writes to 128 places that are computed"),
    (network("aten.index_put.default", {"indices": [None, "%1", None, "%1"], "values": "%1", "accumulate": False}), "axes apart from each other"),
    (network("aten.index_put.default", {"indices": ["%1"], "values": "%1", "accumulate": True}, shape=[8192]), "8192 numbers to 8192 places"),
    (network("aten.inverse.default", {}, shape=[5, 5]), "the determinant of matrices of 5 rows"),
    (network("aten.max_unpool3d.default", {"indices": "%1", "output_size": [8, 8, 8], "stride": [2, 2, 2], "padding": [0, 0, 0]}),
     "goes back up by places that no max_pool"),
    (network("aten.dropout.default", {"p": 0.5, "train": True}), "drops numbers in inference too"),
    (network("aten.__and__.Tensor", {"other": "%1"}, "I64"), "combines whole numbers bit by bit"),
    (network("aten.elu.default", {"alpha": 1, "scale": 1.5, "input_scale": 1}), "scale = 1.5 is not supported"),
]
failed = 0
with tempfile.TemporaryDirectory() as folder:
    Project(copy.deepcopy(good)).write(os.path.join(folder, "good"))
    for description, text in cases:
        target = os.path.join(folder, "refused")
        try:
            Project(description).write(target)
            said = "nothing"
        except Refused as e:
            said = str(e)
        wanted = [text, "module:    act", "source:    net.py:7: return self.act(x)", "operation: " + description["steps"][0]["op"]]
        if any(w not in said for w in wanted) or os.path.exists(target):
            failed += 1
            print(f"expected\n{wanted}\ngot\n{said}\n")
            shutil.rmtree(target, ignore_errors=True)

# Files that are none, and an input that nothing reads, of which compilers would warn.
with tempfile.TemporaryDirectory() as folder:
    for text in (None, "{"):
        file = os.path.join(folder, "network.json")
        if text:
            with open(file, "w") as f:
                f.write(text)
        sys.argv = ["volute_export.py", "--write", file, "-o", os.path.join(folder, "net")]
        try:
            volute_export.main()
            said = "nothing"
        except SystemExit as e:
            said = str(e)
        if f"{file} is no description" not in said or "remedy:" not in said:
            failed += 1
            print(f"expected a refusal of {file}, got\n{said}\n")
two = copy.deepcopy(good)
two["inputs"].append({"name": "y", "shape": [1], "type": "F32", "id": "3"})
two["steps"].append({"op": "aten.neg.default", "in": {"self": "%2"}, "out": [["4", [1, 2, 4, 4, 4], "F32"]], "scope": 0, "line": 0})
two["results"] = "%4"
failed += "(expression auto x, expression auto) const" not in Project(two).header()

# nnU-Net's plans.
KWARGS = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
configuration = {"patch_size": [32, 48, 48], "spacing": [3.0, 0.75, 0.75], "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
                 "use_mask_for_norm": [False, True], "preprocessor_name": "DefaultPreprocessor", "resampling_fn_data": "resample_data_or_seg_to_shape",
                 "resampling_fn_data_kwargs": KWARGS, "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                 "resampling_fn_probabilities_kwargs": {**KWARGS, "order": 1}}
plans = {"image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager", "transpose_forward": [2, 0, 1],
         "foreground_intensity_properties_per_channel": {"0": {"mean": 99.25, "std": 39.0, "percentile_00_5": -41.0, "percentile_99_5": 176.5}, "1": {}}}
dataset = {"file_ending": ".nii.gz", "channel_names": {"0": "CT", "1": "MR"}, "labels": {"background": 0, "liver": 1}}
labels = types.SimpleNamespace(has_regions=False, all_labels=[0, 1], regions_class_order=None)
text = nnunet.Plan(plans, configuration, dataset, labels, (0, 2)).header("net")
for wanted in (".spacing = {3, 0.75, 0.75},", ".transpose = {2, 0, 1},", "{.scheme = nnunet_scheme::z_score, .masked = true}  // MR",
               "{.scheme = nnunet_scheme::ct, .mean = 99.25, .deviation = 39, .low = -41, .high = 176.5},  // CT", ".mirror = {true, false, true},",
               ".images = {interpolation::cubic, interpolation::nearest, -1},", ".scores = {interpolation::linear, interpolation::nearest, -1},"):
    if wanted not in text:
        failed += 1
        print(f"expected\n{wanted}\nin\n{text}\n")
plan_cases = [
    (configuration, {"patch_size": [64, 64]}, "a network of planes (2d)"),
    (configuration, {"previous_stage": "3d_lowres"}, "a cascade"),
    (configuration, {"preprocessor_name": "Own"}, "a preprocessor of its own"),
    (configuration, {"resampling_fn_data": "resample_torch_fornnunet"}, "resample_torch_fornnunet is not written in C++"),
    (configuration, {"resampling_fn_probabilities_kwargs": {**KWARGS, "order": 2}}, "splines of other orders than 0, 1 and 3"),
    (configuration, {"resampling_fn_data_kwargs": {**KWARGS, "separate_z_anisotropy_threshold": 2}}, "other options of the resampling"),
    (configuration, {"normalization_schemes": ["CTNormalization", "OwnNormalization"]}, "OwnNormalization is not written in C++"),
    (plans, {"image_reader_writer": "SimpleITKIOWithReorient"}, "a reader that is not written in C++"),
    (plans, {"label_manager": "OwnManager"}, "a label manager of its own"),
    (dataset, {"file_ending": ".mha"}, "images that are not NIfTI files"),
]
for where, change, text in plan_cases:
    kept = dict(where)
    where.update(change)
    try:
        nnunet.Plan(plans, configuration, dataset, labels, None)
        said = "nothing"
    except Refused as e:
        said = str(e)
    where.clear()
    where.update(kept)
    if text not in said or "source:" not in said:
        failed += 1
        print(f"expected\n{text}\ngot\n{said}\n")
try:
    nnunet.trained(here, None, "checkpoint_final.pth")
    failed += 1
except Refused as e:
    failed += "no plans.json" not in str(e)

total = len(cases) + len(plan_cases) + 5
print(f"{total - failed} of {total} written or refused as they should be")
sys.exit(failed > 0)
