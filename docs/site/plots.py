"""Pictures drawn from the tables of the pages, so that they cannot tell anything else: SVG in the page, in its colours."""
import html
import math
import random
import re


class Missing(Exception):
    """A table that a picture is drawn from is not where it was."""


def table(docs, page, heading, *columns):
    """Rows, as dictionaries, of the first table behind a heading (of any level) that has these columns."""
    text = docs.get(page, "")
    start = re.search(rf"^#+ {re.escape(heading)}$|^{re.escape(heading)}$", text, re.M)
    if start:
        level = re.match(r"#+", start[0])
        end = re.search(rf"^#{{1,{len(level[0])}}} ", text[start.end():], re.M) if level else None
        part = text[start.end():start.end() + end.start()] if end else text[start.end():]
        for found in re.finditer(r"(?:^\|.*\n)+", part + "\n", re.M):
            rows = [[c.strip() for c in line.strip().strip("|").split("|")] for line in found[0].strip().split("\n")]
            if set(columns) <= set(rows[0]):
                return [dict(zip(rows[0], row)) for row in rows[2:]]
    raise Missing(f"no table with the columns {', '.join(columns)} behind '{heading}'")


def number(text):
    return float(text.replace(" ", ""))


class Drawing:
    def __init__(self, width, height, label):
        self.parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}">']

    def line(self, x1, y1, x2, y2, colour="--plot-grid", width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" style="stroke:var({colour});stroke-width:{width}"/>')

    def bar(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" rx="1.5" style="fill:var({colour})"/>')

    def dot(self, x, y, colour, title):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill:var({colour});fill-opacity:.7"><title>{html.escape(title)}</title></circle>')

    def text(self, x, y, words, anchor="start", kind=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"' + (f' class="{kind}"' if kind else "") + f'>{html.escape(words)}</text>')

    def figure(self, caption):
        return '<figure class="plot">' + "".join(self.parts) + f"</svg><figcaption>{caption}</figcaption></figure>\n"


def bars(groups, caption, unit="", most=None, mark=None):
    """`groups`: (title, [(label, length, value in words, colour)]). Bars longer than `most` are cut and say so by their number."""
    left, right, row, gap = 106, 476, 16, 8
    height = sum(row * len(b) + gap + 16 for _, b in groups)
    longest = most or max(length for _, b in groups for _, length, _, _ in b)
    scale = (right - left - 66) / longest
    d, y = Drawing(right, height, re.sub(r"<[^>]*>", "", caption)), 8
    if mark:
        d.line(left + mark * scale, 2, left + mark * scale, height - 8)
    for title, rows in groups:
        if title:
            y += 6
            d.text(0, y + 6, title, kind="title")
            y += 10
        for label, length, words, colour in rows:
            cut = most and length > most
            d.text(left - 6, y + 12, label, "end", "value")
            d.bar(left, y + 2, min(length, longest) * scale, row - 5, colour)
            d.text(left + min(length, longest) * scale + 5, y + 12, words + (" …" if cut else ""), kind="value")
            y += row
        y += gap
    return d.figure(caption)


PEERS = "Beside the peers of today"
SHORT = {"the Conv3D document's model, batch 1": "Small model", "64 -> 64 channels at 32^3 (`conv_64_32c`)": "One convolution"}


def peers(docs, models=None):
    names = {"volute": "--plot-a", "volute-minimal": "--plot-a", "PyTorch": "--plot-b", "OpenVINO": "--plot-b", "ONNX Runtime": "--plot-b"}
    groups = []
    for row in table(docs, "performance.md", PEERS, "model", *names):
        own = number(row["volute"])
        groups.append((SHORT.get(row["model"], row["model"]), [(n, number(row[n]) / own, f"{row[n]} ms", c) for n, c in names.items()]))
    return bars([g for g in groups if not models or g[0] in models],
                "Forward passes on one thread, float; shorter is faster. Lengths are relative to volute (the line), numbers are medians. "
                "<code>volute-minimal</code> has minimal filtering asked for.", most=4.2, mark=1)


def home(docs):
    return peers(docs, ("Small model", "U-Net 8", "U-Net 32", "R3D-18"))


def convolutions(docs):
    rows = table(docs, "performance.md", "One thread", "workload", "pass", "best peer / Volute")
    passes = list(dict.fromkeys(r["pass"] for r in rows))
    width, lane, left = 520, 62, 100
    top = max(number(r["best peer / Volute"]) for r in rows)
    low, high = math.log(0.8), math.log(max(top * 1.1, 16))
    d = Drawing(width, lane * len(passes) + 40, "Best peer's time over Volute's, each convolution a dot")
    place = lambda v: left + (math.log(v) - low) / (high - low) * (width - left - 20)
    for tick in (1, 1.5, 2, 3, 5, 10, 20, 50):
        if math.log(tick) < high:
            d.line(place(tick), 8, place(tick), lane * len(passes) + 12, "--plot-text" if tick == 1 else "--plot-grid")
            d.text(place(tick), lane * len(passes) + 28, f"{tick}", "middle", "value")
    scatter = random.Random(1)
    for i, name in enumerate(passes):
        d.text(0, lane * i + lane / 2 + 12, name)
        for r in (r for r in rows if r["pass"] == name):
            v = number(r["best peer / Volute"])
            d.dot(place(max(v, 0.82)), lane * i + 12 + scatter.uniform(8, lane - 8), "--plot-c" if v < 1 else "--plot-a", f"{r['workload']}: {v}")
    return d.figure(f"How many times the fastest peer's time of Volute's, {len(rows)} convolutions on one thread; right of 1 Volute is faster. Point at a dot for its name.")


def models(docs):
    wanted = {"conv3d_document_b1": "Small model", "conv3d_document_b32": "the same, batch 32", "unet3d_8": "U-Net 8", "unet3d_32": "U-Net 32", "r3d_18": "R3D-18"}
    found = {}
    for r in table(docs, "performance.md", "One thread", "model", "pass", "PyTorch / Volute"):
        if r["model"] in wanted:
            found.setdefault(wanted[r["model"]], []).append((r["pass"], number(r["PyTorch / Volute"]), r["PyTorch / Volute"], "--plot-a"))
    return bars(list(found.items()), "How many times PyTorch 1.13's time of Volute's, one thread.", mark=1)


def minimal(docs):
    rows, group = {}, ""
    for r in table(docs, "performance.md", "Minimal filtering", "model", "direct", "filtered", "times as fast"):
        model, _, what = r["model"].rpartition(", ")
        group = model or group
        rows.setdefault(re.sub(r"[`]|, 64³|adaptive_conv3d_mod ", "", group).replace("the Conv3D document's model", "Small model").replace("(4,64,16,32,32)", "Modulated"), []).append(
            ((what or r["model"]).replace("forward and backward", "both ways"), number(r["times as fast"]), r["times as fast"], "--plot-a"))
    return bars(list(rows.items()), "How many times as fast with minimal filtering.", mark=1)


def compiling(docs):
    groups = []
    for compiler in ("g++ 12.2.0", "clang 19.1.7"):
        rows = table(docs, "compile_cost.md", compiler, "program", "user s")
        picked = [(r["program"].split(",")[0].replace("the headers alone", "headers alone").replace("the Conv3D document's model", "small model")
                   .replace("R3D-18's training step and forward pass", "R3D-18"), number(r["user s"]), r["user s"] + " s", "--plot-a")
                  for r in rows if r["user s"] and "-g" not in r["program"] and not r["program"].startswith(("each", "65"))]
        groups.append((compiler.split()[0], picked))
    return bars(groups, "User seconds to compile and link a loss and all its gradients; of R3D-18 a forward pass too.")


FIGURES = {  # page: heading: picture behind it
    "performance.md": {"# Performance": peers, "## One thread": lambda docs: convolutions(docs) + "\n" + models(docs), "## Minimal filtering": minimal},
    "compile_cost.md": {"# What a model costs to compile": compiling},
}
