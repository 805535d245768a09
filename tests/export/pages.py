"""The pages of docs that are made: networks.md, from results, and exported_headers.md, from descriptions. Plain Python."""
import os
import re

import description
import project

DONE = ("relative", "error", "too_large", "refused", "unavailable")
SHOWN = [("unet_residual", "MONAI's `UNet`", "Channels 8, 16, 32, two residual units at each; `ADN` is MONAI's class of normalisation, dropout and activation"),
         ("segresnet", "MONAI's `SegResNet`", "8 filters at first"),
         ("tv_r3d_18", "torchvision's `r3d_18`", "5 classes"),
         ("swin_unetr", "MONAI's `SwinUNETR`", "12 features, windows of 4 x 4 x 4")]
LONG = 150  # lines; a longer header is folded up


def shortened(text):
    """Of a compiler's error: no folders, no bars."""
    return re.sub(r"/(?:[^\s/:]+/)+", "", text).replace("|", "/")[:160]


def networks(rows, compiler, bounds):
    """docs/networks.md, from the newest result of each network."""
    good = [r for r in rows if "relative" in r and "error" not in r]
    right = [r for r in good if r["relative"] <= 1e-5]
    refused = [r for r in rows if "refused" in r]
    large = [r for r in rows if "too_large" in r]
    failed = [r for r in rows if "error" in r]
    written = [r for r in rows if not any(k in r for k in DONE)]
    out = ["# Networks", "",
           "Public networks, exported from PyTorch by [tools/export](from_pytorch.md), with parameters and inputs from a formula; sizes are reduced",
           "(`tests/export/networks.py`). `bash tests/export/run [REGEX]` makes this page. Error: the largest difference from PyTorch's result, over the",
           f"largest number. Compiled one by one with {compiler}: seconds of the processor, on a machine that did other work too, and the peak of",
           "memory. The library's headers are precompiled; without that a network takes about 2 s more.",
           "Times of a run are those of one thread. Networks that draw noise get it as an input. unet_residual, unet_batch, swin3d_small,",
           "swin_unetr_shallow, stopped and fourier are trained too: their losses follow PyTorch's for twenty steps of Adam within 1e-4 (`tests/export/networks`).", "",
           f"{len(rows)} networks: {len(good)} exported and compiled, of these {len(right)} within 1e-5 of PyTorch; {len(large)} too large for {bounds}; "
           f"{len(failed)} failed; {len(written)} written and not compiled yet; {len(refused)} refused with a reason.", "",
           "| network | parameters | operations | structs | lines | compile s | MB | error | PyTorch ms | Volute ms |",
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for r in good:
        out.append(f"| {r['name']} | {r['numbers']:,} | {r['steps']} | {r['structs']} | {r['lines']} | {r['seconds']:.0f}{' (' + ', '.join(r['also']) + ')' if r.get('also') else ''} | {r['megabytes']:.0f} | "
                   f"{r['relative']:.1e} | " + (f"{r['torch']:.2f} | {r['milliseconds']:.2f} |" if "torch" in r else "| |"))
    if written:
        out += ["", "Written, and not compiled when this page was made: " + ", ".join(f"{r['name']} ({r['lines']} lines)" for r in written) + "."]
    if large:
        out += ["", "## Too large to compile", "", "| network | operations | structs | lines | needs |", "|---|--:|--:|--:|---|"]
        out += [f"| {r['name']} | {r['steps']} | {r['structs']} | {r['lines']} | {r['too_large']} |" for r in large]
    if failed:
        out += ["", "## Failed", "", "| network | what was said |", "|---|---|"]
        out += [f"| {r['name']} | {shortened(r['error'])} |" for r in failed]
    if refused:
        out += ["", "## Refused", "", "| network | why | where |", "|---|---|---|"]
        out += [f"| {r['name']} | {(r['operation'] + ' ' if r['operation'] else '') + r['refused']} | `{r['at'].replace('|', '/')}` |"
                for r in refused]
    missing = [r for r in rows if "unavailable" in r]
    if missing:
        out += ["", "Not measured, because a package is missing: " + ", ".join(r["name"] for r in missing) + "."]
    return "\n".join(out) + "\n"


def headers(folder):
    """docs/exported_headers.md, or nothing if a description is missing in `folder`."""
    out = ["# Exported headers", "",
           "What [tools/export](from_pytorch.md) writes, as `bash tests/export/run` wrote it: the files as they are, without the lines `#include` at the top.",
           "", "<!--", "```cpp", "#include <volute/io/safetensors.hpp>", "#include <volute/volute.hpp>", "```", "-->"]
    for name, title, told in SHOWN:
        path = os.path.join(folder, name + ".json")
        if not os.path.exists(path):
            return ""
        p = project.Project(description.load(path))
        text = p.header()
        text = text[text.index("namespace "):].rstrip()
        extents = [i["shape"] for i in p.inputs]
        long = text.count("\n") > LONG
        out += ["", f"## {title}", "", f"{told}; input {' x '.join(map(str, extents[0]))}.", ""]
        out += [f"<details markdown><summary>{text.count(chr(10)) + 1} lines</summary>", ""] * long + ["```cpp", text, "```"] + ["", "</details>"] * long
        if not long:
            inputs = f'volute::input<"x", {", ".join(map(str, extents[0]))}>'
            out += ["", "<!--", "```cpp", f"static_assert(decltype(volute::invoke<{p.ns}::{p.w.root}>({inputs}))::shape() =="
                    f" volute::shape<{', '.join(map(str, p.outputs[0]))}>);", "```", "-->"]
    return "\n".join(out) + "\n"
