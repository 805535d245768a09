#!/usr/bin/env python3
"""From a trained nnU-Net (version 2) to a program:

  nnunet.py nnUNet_results/Dataset004_X/nnUNetTrainer__nnUNetPlans__3d_fullres -o segment/ [--folds 0 1 2]

reads plans.json, dataset.json and the checkpoints of the folder, and writes the network and its check (see volute_export.py), the plan as
constants, the weights of each fold, and a program that segments NIfTI files as nnU-Net's predictor does. Wants nnunetv2. What cannot be done is
refused before anything is written."""
import argparse
import json
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import description as descriptions  # noqa: E402
from description import Refused  # noqa: E402

SCHEMES = {"ZScoreNormalization": "z_score", "CTNormalization": "ct", "RescaleTo01Normalization": "rescale_to_01", "RGBTo01Normalization": "rgb_to_01",
           "NoNormalization": "none"}
ORDERS = {0: "nearest", 1: "linear", 3: "cubic"}
READERS = ("SimpleITKIO", "NibabelIO")
PERCENTILES = {"mean": "mean", "std": "deviation", "percentile_00_5": "low", "percentile_99_5": "high"}


def refuse_unless(condition, what, where, remedy=""):
    if not condition:
        raise Refused(what, line=where, remedy=remedy)


def number(v):
    """As C++, with all its digits."""
    refuse_unless(math.isfinite(v), f"{v} is no number that can be used", "plans.json")
    return repr(float(v)).removesuffix(".0") if float(v) == int(v) and abs(v) < 1e15 else repr(float(v))


def resampling(configuration, key):
    """nnunet_resampling of resampling_fn_data or resampling_fn_probabilities."""
    name, options = configuration[key], dict(configuration[key + "_kwargs"])
    where = f"plans.json: {key} = {name}, {options}"
    refuse_unless(name == "resample_data_or_seg_to_shape", f"{name} is not written in C++", where, "plan with the default resampling")
    options = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": False, "separate_z_anisotropy_threshold": 3, **options}
    order, order_z, separate = (options.pop(k) for k in ("order", "order_z", "force_separate_z"))
    refuse_unless(order in ORDERS and order_z in ORDERS, "splines of other orders than 0, 1 and 3", where)
    refuse_unless(separate in (None, True, False), f"force_separate_z = {separate}", where)
    refuse_unless(options == {"is_seg": False, "separate_z_anisotropy_threshold": 3}, "other options of the resampling", where)
    return f"{{interpolation::{ORDERS[order]}, interpolation::{ORDERS[order_z]}, {-1 if separate is None else int(separate)}}}"


def channel(scheme, masked, intensities, index):
    refuse_unless(scheme in SCHEMES, f"{scheme} is not written in C++", f"plans.json: normalization_schemes of channel {index}")
    fields = [f".scheme = nnunet_scheme::{SCHEMES[scheme]}"]
    if scheme == "ZScoreNormalization" and masked:
        fields.append(".masked = true")
    if scheme == "CTNormalization":
        fields += [f".{name} = {number(intensities[key])}" for key, name in PERCENTILES.items()]
    return "{" + ", ".join(fields) + "}"


class Plan:
    """What the plan, the data set and the checkpoint say, as far as the program wants it."""

    def __init__(self, plans, configuration, dataset, labels, mirror_axes):
        self.patch = [int(p) for p in configuration["patch_size"]]
        where = "plans.json: "
        refuse_unless(len(self.patch) == 3, "a network of planes (2d)", f"{where}patch_size = {self.patch}", "train 3d_fullres or 3d_lowres")
        previous = configuration.get("previous_stage")
        refuse_unless(not previous, "a cascade", f"{where}previous_stage = {previous}", "train 3d_fullres, or export 3d_lowres alone")
        preprocessor = configuration.get("preprocessor_name", "DefaultPreprocessor")
        refuse_unless(preprocessor == "DefaultPreprocessor", "a preprocessor of its own", f"{where}preprocessor_name = {preprocessor}")
        reader = plans["image_reader_writer"]
        refuse_unless(reader in READERS, "a reader that is not written in C++", f"{where}image_reader_writer = {reader}", f"use {' or '.join(READERS)}")
        manager = plans.get("label_manager", "LabelManager")
        refuse_unless(manager == "LabelManager", "a label manager of its own", f"{where}label_manager = {manager}")
        ending = dataset["file_ending"]
        refuse_unless(ending in (".nii.gz", ".nii"), "images that are not NIfTI files", f"dataset.json: file_ending = {ending}")

        self.spacing = [float(s) for s in configuration["spacing"]]
        self.transpose = [int(a) for a in plans["transpose_forward"]]
        self.images, self.scores = (resampling(configuration, key) for key in ("resampling_fn_data", "resampling_fn_probabilities"))
        names = dataset.get("channel_names") or dataset["modality"]
        self.channel_names = [" ".join(str(names[k]).replace("\\", "/").split()) for k in sorted(names, key=int)]
        intensities = plans.get("foreground_intensity_properties_per_channel") or plans.get("foreground_intensity_properties_by_modality") or {}
        self.channels = [channel(scheme, masked, intensities.get(str(c)), c) for c, (scheme, masked) in
                         enumerate(zip(configuration["normalization_schemes"], configuration["use_mask_for_norm"]))]
        self.mirror = [a in (mirror_axes or ()) for a in range(3)]
        self.regions = [int(c) for c in labels.regions_class_order] if labels.has_regions else []
        self.largest = max([int(v) for v in labels.all_labels] + self.regions)
        refuse_unless(self.largest < 65536, "labels beyond 65535", "dataset.json: labels")
        self.label_names = json.dumps(dataset["labels"])

    def header(self, ns):
        braced = lambda values: "{" + ", ".join(values) + "}"
        channels = "\n    ".join(f"{c},  // {name}" if i + 1 < len(self.channels) else f"{c}  // {name}"
                                  for i, (c, name) in enumerate(zip(self.channels, self.channel_names)))
        regions = f"\ninline constexpr int regions[]{braced(map(str, self.regions))};\n" if self.regions else ""
        return f'''// nnU-Net's plan, written by tools/export. Labels: {self.label_names}
#pragma once

#include <volute/imaging/nnunet.hpp>

#include <cstdint>

namespace {ns} {{

using volute::imaging::interpolation, volute::imaging::nnunet_scheme;

/// What the labels are written as.
using label = std::uint{8 if self.largest < 255 else 16}_t;

inline constexpr volute::imaging::nnunet_channel channels[]{{
    {channels}
}};
{regions}
inline constexpr volute::imaging::nnunet_plan plan{{
    .spacing = {braced(map(number, self.spacing))},
    .transpose = {braced(map(str, self.transpose))},
    .channels = channels,
    .images = {self.images},
    .scores = {self.scores},
    .mirror = {braced(str(m).lower() for m in self.mirror)},{f"""
    .regions = regions,""" if self.regions else ""}
}};

}}  // namespace {ns}
'''


def program(ns, root, plan, weights, constants):
    shape = ", ".join(map(str, [1, len(plan.channels), *plan.patch]))
    load = f"load(network, weights[fold], folder + {json.dumps(constants)})" if constants else "network.load(weights[fold])"
    return f'''// Segments a case as nnU-Net's predictor does, on the CPU, by the mean of {len(weights)} training{"s" if len(weights) > 1 else ""}.
#include "{ns}.hpp"
#include "{ns}_plan.hpp"

#include <volute/imaging/nifti.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volumes/windowed.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <map>

namespace {ns} {{
namespace {{

namespace im = volute::imaging;

int segment(const std::string& folder, const std::vector<std::string>& files, const std::string& result, int threads) {{
  const auto start = std::chrono::steady_clock::now();
  const auto spacing = im::read_nifti_spacing(files[0]);
  std::vector<xt::xtensor<float, 3>> images;
  im::grid space;
  for (const std::string& file : files) {{
    im::image<float> x = im::read_nifti(file);
    if (im::read_nifti_spacing(file) != spacing) throw std::runtime_error(file + ": expected the spacing of " + files[0] + ", found another");
    if (im::try_read_nifti(file, 1)) throw std::runtime_error(file + ": expected one volume, found several");
    if (images.empty()) space = x.at;
    images.push_back(std::move(x.voxels));
  }}
  const std::vector<std::string> weights{{{", ".join(f"folder + {json.dumps(w)}" for w in weights)}}};
  volute::windowed<{root}, volute::input<"x", {shape}>> network;
  volute::spinning_pool pool(threads);
  network.use(pool);
  const im::nnunet_case given = im::nnunet_prepared(plan, images, spacing);
  const auto scores = im::nnunet_scores(plan, network, given, weights.size(), [&](std::size_t fold) {{ {load}; }});
  const im::image<label> labels{{im::nnunet_labels<label>(plan, given, scores), space}};
  im::write_nifti(result, labels);

  std::map<int, std::size_t> counts;
  for (const label v : labels.voxels) ++counts[v];
  std::printf("%s:", result.c_str());
  for (const auto& [value, voxels] : counts) std::printf(" %zu voxels of label %d,", voxels, value);
  std::printf(" %.1f s\\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
}}

}}  // namespace
}}  // namespace {ns}

int main(int count, char** arguments) try {{
  std::vector<std::string> given(arguments + 1, arguments + count);
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  if (given.size() > 2 && given[0] == "--threads") {{
    threads = std::max(1, std::stoi(given[1]));
    given.erase(given.begin(), given.begin() + 2);
  }}
  if (given.size() != {len(plan.channels) + 2}) {{
    std::fprintf(stderr, "{ns}_segment [--threads N] FOLDER-OF-WEIGHTS {" ".join(f"IMAGE_{i:04}.nii.gz" for i in range(len(plan.channels)))} RESULT.nii.gz\\n");
    return 2;
  }}
  return {ns}::segment(given[0] + "/", {{given.begin() + 1, given.end() - 1}}, given.back(), threads);
}} catch (const std::exception& e) {{
  std::fprintf(stderr, "%s\\n", e.what());
  return 2;
}}
'''


def cmake(ns):
    return f'''
if(NOT TARGET volute::nifti)
  message(FATAL_ERROR "{ns}_segment needs libnifti (Debian: libnifti-dev)")
endif()
add_executable({ns}_segment {ns}_segment.cpp)
target_link_libraries({ns}_segment PRIVATE volute::io volute::nifti)
if({ns.upper()}_NATIVE)
  target_compile_options({ns}_segment PRIVATE -march=native)
endif()
'''


def found_folds(folder, checkpoint):
    names = sorted(d for d in os.listdir(folder) if d.startswith("fold_") and os.path.exists(os.path.join(folder, d, checkpoint)))
    numbered = [n.removeprefix("fold_") for n in names if n != "fold_all"]
    return numbered or [n.removeprefix("fold_") for n in names]


def trained(folder, folds, checkpoint):
    """The plan of a folder, nnU-Net's predictor with its network, and the folds that it has."""
    for file in ("plans.json", "dataset.json"):
        refuse_unless(os.path.exists(os.path.join(folder, file)), f"no {file}", folder, "give the folder that nnUNetv2_train wrote")
    folds = [str(f) for f in folds or found_folds(folder, checkpoint)]
    refuse_unless(folds, f"no fold_*/{checkpoint}", folder, "name another one with --checkpoint")
    files = [os.path.join(folder, f"fold_{f}", checkpoint) for f in folds]
    for file in files:
        refuse_unless(os.path.exists(file), "no such checkpoint", file)
    import contextlib

    import torch
    with contextlib.redirect_stdout(sys.stderr):
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
        first = torch.load(files[0], map_location="cpu", weights_only=False)  # as nnU-Net does
        plans, dataset = (json.load(open(os.path.join(folder, file))) for file in ("plans.json", "dataset.json"))
        manager = PlansManager(plans)
        plan = Plan(plans, manager.get_configuration(first["init_args"]["configuration"]).configuration, dataset, manager.get_label_manager(dataset),
                    first.get("inference_allowed_mirroring_axes"))
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        try:
            predictor.initialize_from_trained_model_folder(folder, tuple(f if f == "all" else int(f) for f in folds), checkpoint)
        except RuntimeError as e:
            raise Refused("nnU-Net cannot load it: " + " ".join(str(e).split())[:300], line=files[0]) from None
    return plan, predictor, folds


def export(folder, output, folds=None, checkpoint="checkpoint_final.pth", name=None):
    """Exports a folder that nnUNetv2_train wrote. Gives the name of the files; raises Refused."""
    import torch

    import volute_export
    from project import Project
    plan, predictor, folds = trained(folder, folds, checkpoint)
    net = predictor.network
    example = torch.randn([1, len(plan.channels), *plan.patch], generator=torch.Generator().manual_seed(0))
    ns = volute_export.export(net, example, output, name=name)
    described = descriptions.load(os.path.join(output, "network.json"))

    weights = [f"{ns}.safetensors"] + [f"{ns}.fold_{f}.safetensors" for f in folds[1:]]
    for file, state in zip(weights[1:], predictor.list_of_parameters[1:]):
        net.load_state_dict(state)
        own = {**dict(net.named_parameters(remove_duplicate=False)), **dict(net.named_buffers(remove_duplicate=False))}
        packed = {p: ("F32", e["shape"], own[p].detach().float().contiguous().numpy().tobytes()) for p, e in described["parameters"].items()}
        descriptions.write_safetensors(os.path.join(output, file), packed, {"format": "pt"})
    constants = f"{ns}.constants.safetensors"
    constants = constants if os.path.exists(os.path.join(output, constants)) else ""
    texts = {f"{ns}_plan.hpp": plan.header(ns), f"{ns}_segment.cpp": program(ns, Project(described).w.root, plan, weights, constants)}
    for file, text in texts.items():
        with open(os.path.join(output, file), "w") as f:
            f.write(text)
    with open(os.path.join(output, "CMakeLists.txt"), "a") as f:
        f.write(cmake(ns))
    return ns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what nnUNetv2_train wrote: plans.json, dataset.json, fold_*/")
    parser.add_argument("--folds", nargs="+", help="0 1 2, or all; by default those that are there")
    parser.add_argument("--checkpoint", default="checkpoint_final.pth")
    parser.add_argument("--name", help="of the network; by default its class")
    parser.add_argument("-o", "--output", required=True, help="the folder to write to")
    given = parser.parse_args()
    try:
        ns = export(given.folder, given.output, given.folds, given.checkpoint, given.name)
    except Refused as e:
        sys.exit(str(e))
    print(f"{given.output}: {ns}_segment.cpp, {ns}_plan.hpp, {ns}.hpp, {ns}_handle.hpp, {ns}_check.cpp, CMakeLists.txt")


if __name__ == "__main__":
    main()
