#!/usr/bin/python3
"""plot.py FILE.json FILE.png: time / roofline of Volute, without and with minimal filtering, and of its best peer, a panel for each pass of the convolutions; models below."""
import json
import sys
from collections import defaultdict

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

with open(sys.argv[1]) as f:
    rows = json.load(f)["rows"]
panels = defaultdict(lambda: defaultdict(dict))  # pass -> workload -> contestant -> time / roofline
for row in rows:
    if row["implementation"] == "volute, 1 thread" or row["implementation"].endswith(" bf16"):
        continue
    model = "p99_us" in row
    name = row["workload"] + (", " + row["pass"] if model else "")
    series = row["implementation"] if row["implementation"].startswith("volute") else "best peer"
    times = panels["models" if model else row["pass"]][name]
    times[series] = min(times.get(series, float("inf")), row["median_us"] / row["roofline_us"])

figure, axes = plt.subplots(len(panels), 1, figsize=(14, 4.2 * len(panels)), squeeze=False, layout="constrained")
for ax, (title, workloads) in zip(axes[:, 0], panels.items()):
    for offset, (series, colour) in enumerate({"volute": "#1b6ca8", "volute-minimal": "#6db33f", "best peer": "#c8c8c8"}.items()):
        at = [i + 0.27 * (offset - 1) for i in range(len(workloads))]
        ax.bar(at, [times.get(series, 0) for times in workloads.values()], 0.27, label=series, color=colour)
    ax.set_xticks(range(len(workloads)), workloads, rotation=40, ha="right", fontsize=8)
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.2)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_ylabel("time / roofline")
    ax.set_title(f"{title}, {rows[0]['threads']} thread{'s' if rows[0]['threads'] > 1 else ''} (lower is better, 1 is the limit without minimal filtering)")
    ax.legend()
figure.savefig(sys.argv[2], dpi=110)
