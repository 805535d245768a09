"""The pages of the reference: one for each header with public names, grouped by room; what is inside the library as tables."""
import fnmatch
import glob
import html
import os
import re
import unicodedata

import cxx

ROOMS = {  # folder of include/volute: title, and what a newcomer should know
    "nn": ("Layers", "What a model is made of: types that are applied to expressions."),
    "language": ("Functions", "Mathematics on expressions: functions, losses, gradients, options."),
    "runtime": ("Models and programs", "What runs: models, programs, their weights and workspaces, reports about them."),
    "train": ("Training", "Trainers, optimisers, schedules."),
    "volumes": ("Volumes", "Volumes and batches of any size."),
    "io": ("Files", "Parameters, trainings and arrays from and to files."),
    "imaging": ("Imaging", "Images with a place in space: files, resampling, transforms."),
    "distributed": ("Distributed training", "One training on several ranks: what they talk through, and how gradients are added."),
    "core": ("Core", "Executors, shapes, and what else all rooms use."),
}
INSIDE = ["core", "language", "ops", "graph", "runtime", "kernels", "train", "volumes", "io", "nn"]
TITLES = {"npy": ".npy", "npz": ".npz", "dtype": "Element types", "grid_sample": "Grid sample", 
          "volume": "Convolution, pooling, borders", "tensor": "Reductions and shapes", "composite": "Activations and norms", "elementwise": "Elementwise",
          "activation": "More activations", "planar": "Lines and planes", "gather": "Indices", "dice": "Dice loss", "loss": "Losses",
          "expression": "Expressions", "mode": "Modes, states, noise", "structure": "Structures", "layer": "Rows and named layers",
          "files": "Loading and saving", "groups": "Parameter groups", "cut": "Extents and tiles", "sinks": "Sinks", "sources": "Sources",
          "failure": "Concepts", "call": "Applying modules", "rearrange": "Rearrangements", "style": "Styles", "error": "Exceptions",
          "text": "Text", "report": "Reports", "family": "Tile families", "order": "Equal bits", "tasks": "Progress", "ratio": "Ratios", "mpi": "MPI", "nifti": "NIfTI", "adaptive_conv3d_mod": "Modulated convolution",
          "random": "Random state", "status": "Status and errors", "window_rule": "Window rules", "tiled": "Tiles", "windowed": "Windows",
          "batched": "Batches"}
TITLES_IN = {"nn/activation": "Activations", "nn/loss": "Losses", "nn/options": "Options", "nn/pooling": "Pooling and borders"}
SPOKEN = {"+": "plus", "-": "minus", "*": "times", "/": "by", "<": "less", ">": "greater", "=": "equal", "[": "at", "]": "", "(": "call", ")": "", '"': "", "!": "not"}
PREFIX = "volute::"
# In comments these are mathematics.
FORMULA = {"sqrt", "rsqrt", "exp", "log", "log1p", "tanh", "erf", "sum", "mean", "abs", "sigmoid", "softplus", "softmax", "square", "power", "sign", "conv", "max"}


def escaped(text):
    """Plain text in Markdown."""
    return re.sub(r"([\\`*_\[\]{}#|~$^])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def anchor(name):
    return re.sub(r"-+", "-", "".join("-" + SPOKEN[c] if c in SPOKEN else c for c in name.replace(" ", ""))).strip("-")


def together(declarations, width=76):
    """Declarations below each other: in a line each where they are short, apart where not."""
    codes = list(dict.fromkeys(d.code for d in declarations))
    if len(codes) > 1 and all(len(c) < 90 for c in codes) and not any(d.kind in ("function", "struct", "class") for d in declarations):
        return [c + ";" for c in codes]
    laid = [cxx.layout(c, width) + ";" for c in codes]
    return "\n\n".join(laid).split("\n") if any(c.startswith("template") for c in codes) else laid


def unique(place, taken):
    while place in taken:
        place += "-"
    taken.add(place)
    return place


def room(file):
    return file.split("/")[1] if file.count("/") > 1 else "core"


class Entry:
    """Names that stand under one comment, and overloads of them under comments of their own."""

    def __init__(self, first):
        self.parts = []  # (declarations, doc)
        self.file, self.line, self.scope = first.file, first.line, first.scope
        self.add(first)

    def add(self, d):
        if d.doc or not self.parts:
            self.parts.append(([d], d.doc))
        else:
            self.parts[-1][0].append(d)

    @property
    def declarations(self):
        return [d for part, _ in self.parts for d in part]

    @property
    def names(self):
        return list(dict.fromkeys(d.name for d in self.declarations))

    @property
    def doc(self):
        return next((doc for _, doc in self.parts if doc), "")

    def qualified(self, name=None):
        return (self.scope + "::" + (name or self.names[0])).removeprefix(PREFIX)


class Reference:
    def __init__(self, xml_folder):
        self.declarations, self.classes = cxx.read(xml_folder)
        self.problems = []
        with open("docs/site/inside.txt") as f:
            patterns = [line.strip() for line in f if line.strip() and not line.startswith("#")]
        used = set()

        def is_inside(d):
            name = (d.scope + "::" + d.name).removeprefix(PREFIX)
            found = [p for p in patterns if fnmatch.fnmatchcase(name, p)]
            used.update(found)
            return bool(found) or room(d.file) in ("graph", "kernels", "ops")

        free = [d for d in self.declarations if d.scope not in self.classes and d.kind != "friend" and "<" not in d.name.replace("operator<", "")]
        self.inside, public = [], []
        for d in free:
            (self.inside if is_inside(d) else public).append(d)
        self.problems += [f"docs/site/inside.txt: nothing is called {p}" for p in patterns if p not in used]
        self.pages = {}  # header: entries
        for d in public:
            entries = self.pages.setdefault(d.file, [])
            last = entries[-1] if entries else None
            same = last and (d.scope == last.scope or d.scope + "::" + d.name in [last.scope, last.qualified()])
            if same and d.name in last.names and d.kind not in ("struct", "class"):
                last.add(d)
            elif same and d.group and not d.doc and last.doc:
                last.add(d)
            else:
                entries.append(Entry(d))
        self.where = {}  # qualified name: (page, anchor)
        for file, entries in self.pages.items():
            taken = set()
            for e in entries:
                e.anchors = {}
                for name in e.names:
                    a = anchor(name)
                    while a in taken:
                        a += "-" + (re.sub(r"\W+", "-", e.scope.split("::")[-1]) if not a.endswith(e.scope.split("::")[-1]) else "also")
                    taken.add(a)
                    e.anchors[name] = a
                    self.where.setdefault(e.qualified(name), (self.page_of(file), a))
        for e in self.entries():
            if not e.doc:
                self.problems.append(f"include/{e.file}:{e.line}: {e.qualified()} is public and has no ///")
        self.umbrella = self.included("volute/volute.hpp")
        self.examples = Examples(self)

    def entries(self):
        return [e for entries in self.pages.values() for e in entries]

    @staticmethod
    def page_of(file):
        name = file.removeprefix("volute/").removesuffix(".hpp").partition("/")[2] or "version"
        return f"reference/{room(file)}/{name.replace('/', '_')}.md"

    @staticmethod
    def title_of(file):
        key = file.removeprefix("volute/").removesuffix(".hpp")
        name = key.split("/")[-1]
        return TITLES_IN.get(key) or TITLES.get(name) or name.replace("_", " ").capitalize()

    def included(self, header, seen=None):
        seen = set() if seen is None else seen
        if header not in seen and os.path.exists("include/" + header):
            seen.add(header)
            with open("include/" + header) as f:
                for inner in re.findall(r"^#include <(volute/[^>]+)>", f.read(), re.M):
                    self.included(inner, seen)
        return seen

    def find(self, name, scope="volute"):
        """Where a name that stands in a comment or on a page is documented."""
        name = name.removeprefix(PREFIX)
        inner = scope.removeprefix("volute").removeprefix("::")
        for candidate in ([f"{inner}::{name}"] if inner else []) + [name]:
            if candidate in self.where:
                return self.where[candidate]
        return None

    def link(self, code, page, scope="volute"):
        """Code in Markdown; linked if it is a public name."""
        span = f"`` {code} ``" if "`" in code else f"`{code}`"
        name = re.match(r"(?:volute::)?((?:\w+::)*\w+)", code)
        rest = code[name.end():] if name else ""
        if not name or (rest and rest[0] not in "<("):
            return span
        found = self.find(name[1], scope)
        if not found or (found[0] == page and scope != "volute::"):
            return span
        return f"[{span}]({os.path.relpath(found[0], os.path.dirname(page) or '.')}#{found[1]})"

    def prose(self, text, page, scope):
        """A comment as Markdown: paragraphs and lists stay; names of the library become code."""
        head = r"\b(?:\w+(?:::|\.))*[a-z]\w*"
        call = r"\((?:[^()]|\([^()]*\))*\)"
        code = "|".join([r"`[^`]+`", r"https?://[^\s)]+", r"\b(?:nn|volumes|schedule|option)::\w+(?:<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>)?(?:" + call + ")?",
                         head + r"(?:<[^<>]{0,40}>)?" + call + r"(?!\w)", head + r"<(?:[^<> ]|, | ?\.\.\.)+>", r"\b[\w/]+\.hpp\b",
                         r"\b(?:\w+::)+[a-z]\w*", r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+_?(?!\w)"])

        def span(m):
            found = m[0]
            if found.startswith("http"):
                bare = found.rstrip(".,;:")
                return f"<{bare}>{found[len(bare):]}"
            if found.startswith("`"):
                return self.link(found.strip("`"), page, scope)
            if found.endswith(".hpp"):
                header = next((f for f in self.pages if f.endswith("/" + found)), None)
                return f"[`{found}`]({os.path.relpath(self.page_of(header), os.path.dirname(page))})" if header else f"`{found}`"
            name = re.match(r"(?:\w+(?:::|\.))*(\w+)", found)
            if name[0] in FORMULA or "(" in found and not self.find(name[0], scope) and not self.known_member(name[1]):
                return escaped(found)  # mathematics
            return self.link(found, page, scope)

        out, paragraph = [], []
        for line in text.split("\n") + [""]:
            if not line.strip() or re.match(r"\s*- ", line) or line.startswith("  "):
                if paragraph:
                    out.append(" ".join(paragraph))
                    paragraph = []
                if not line.strip():
                    out.append("")
                    continue
            if line.startswith("  ") and not line.strip().startswith("- "):
                out.append("    " + line.rstrip())  # a table of names or a formula: as it stands
            else:
                paragraph.append(line.strip() if not re.match(r"\s*- ", line) else line.strip())
        lines = []
        for item in out:
            if item.startswith("    "):
                if lines and lines[-1] and not lines[-1].startswith("    "):
                    lines.append("")
                lines.append(item)
                continue
            bullet = item.startswith("- ")
            pieces, last, body = [], 0, item[2:] if bullet else item
            for m in re.finditer(code, body):
                pieces += [escaped(body[last:m.start()]), span(m)]
                last = m.end()
            pieces.append(escaped(body[last:]))
            if bullet and lines and lines[-1] and not lines[-1].startswith("- "):
                lines.append("")
            lines.append(("- " if bullet else "") + "".join(pieces))
        return "\n".join(lines).strip()

    def known_member(self, name):
        if not hasattr(self, "member_names"):
            self.member_names = {m.name for c in self.classes.values() for m in c.members}
        return name in self.member_names

    def brief(self, e, page):
        """The first sentence."""
        text = " ".join(e.doc.split("\n\n")[0].split())
        end = re.search(r"(?<=[\w)\]>`'])(?<!\d)(?:[.:](?= [A-Z(]|$)|;(?= )|\.(?= |$))", text)
        text = text[:end.end()].rstrip(";:.") + "." if end else text
        if len(text) > 150:
            text = text[:text.rfind(" ", 0, 150)] + " …"
        return self.prose(text, page, e.scope).replace("\n", " ")

    def members(self, d, page):
        """Data as one block, functions each with its words; from bases inside the library too."""
        own = list(d.members)
        for base in dict.fromkeys(d.bases):
            b = self.classes.get(base if base.startswith("volute") else self.resolved(base))
            if b is not None and b.name != "refused_runs" and self.find(base.removeprefix(PREFIX)) is None:
                own += b.members
        out, data, groups = [], [], []
        for m in own:
            if m.kind == "function" and (m.name.startswith("~") or "= default" in m.code or "= delete" in m.code):
                continue
            if m.kind == "variable" and not m.code.startswith("static") and d.kind == "struct":
                if m.code not in [other.code for other in data]:
                    data.append(m)
                continue
            if m.doc:
                groups.append(([m], m.doc))
            elif self.special(m, d) and m.name != "swap" and ("operator=" in m.name or f"const {d.name}&" in m.code):
                continue
            elif m.group and groups and m.kind == "function" and groups[-1][0][-1].file == m.file and groups[-1][1]:
                groups[-1][0].append(m)
            else:
                groups.append(([m], ""))
                if d.kind == "class" and m.kind == "function" and not self.special(m, d):
                    self.problems.append(f"include/{m.file}:{m.line}: {d.name}::{m.name} is public and has no ///")
        groups = [g for g in groups if g[1]]
        if not d.file.startswith("volute/nn/") or data:
            if any(m.doc for m in data):
                out += ["", '<div class="names" markdown>', "", "| member | |", "|---|---|"]
                for m in data:
                    kind, name = re.match(rf"(.*?)\s*\b({m.name}\b.*)$", m.code).groups()
                    words = self.prose(m.doc, page, d.scope).replace("\n", " ")
                    out.append(f"| `{name}` | `{kind}`{': ' + words if words else ''} |".replace("\\|", "&#124;"))
                out += ["", "</div>"]
            elif data:
                out += ["", "```{.cpp .signature}", *[m.code + ";" for m in data], "```"]
        taken = set()
        for group, doc in groups:
            if d.file.startswith("volute/nn/") and group[0].code.rpartition("\n")[2].find("static ") >= 0:
                continue  # how layers are made of each other
            code = together(group, 68)
            names = list(dict.fromkeys(m.name for m in group))
            place = unique(f"{anchor(d.name)}.{anchor(names[0])}", taken)
            out += ["", '<div class="member" markdown>', "", f"### `{', '.join(names)}` {{ #{place} }}", "", "```{.cpp .signature}", *code, "```", "", self.prose(doc, page, d.scope), "", "</div>"]
        return out

    def resolved(self, base):
        return next((c for c in self.classes if c.endswith("::" + base)), base)

    @staticmethod
    def special(m, d):
        return m.name == d.name or m.name.startswith("operator=") or m.name == "swap" or f"const {d.name}&" in m.code

    def entry(self, e, page):
        names = e.names
        title = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        out = ["", f"## `{title}` {{ #{e.anchors[names[0]]} data-toc-label=\"{html.escape(title)}\" }}", ""]
        if len(names) > 1:
            out += ["".join(f'<a id="{e.anchors[n]}"></a>' for n in names[1:]), ""]
        out += [f'<a class="where" href="{self.html_source(e, page)}">{e.file.removeprefix("volute/")}:{e.line}</a>', ""]
        for part, doc in e.parts:
            code = together(part)
            out += ["```{.cpp .signature}", *code, "```", ""]
            if doc:
                out += [self.prose(doc, page, e.scope), ""]
        for d in e.declarations:
            if d.kind in ("struct", "class"):
                out += self.members(d, page)
            elif d.kind == "typedef" and len(e.declarations) == 1 and (target := re.search(r" = (?:typename )?([\w:]+)<", d.code)):
                inside = self.classes.get(self.resolved(target[1]))
                if inside is not None and not self.find(target[1], d.scope):
                    out += self.members(inside, page)
        out += self.examples.of(e, page)
        return out

    def html_source(self, e, page):
        up = "../" * page.count("/")
        return f"{up}source/include/{e.file}.html#L-{e.line}"

    def write(self, folder):
        """All pages; returns the navigation."""
        nav = []
        intro = ["# Reference", "", "Every public name, by the room of the library that it lives in. Signatures stand as in the headers, without `constexpr` and requirements; all names are in",
                 "namespace `volute`. [All names](names.md) has them in one table; [Semantics](../semantics.md) has the formulas, and [Errors](../errors.md) what refusals say.", ""]
        rooms = {room(f): (room(f).capitalize(), "") for f in self.pages} | ROOMS  # of a new room its folder is its name
        for folder_of, (title, words) in sorted(rooms.items(), key=lambda r: list(ROOMS).index(r[0]) if r[0] in ROOMS else len(ROOMS) - 2):
            files = sorted(f for f in self.pages if room(f) == folder_of)
            if not files:
                continue
            index = f"reference/{folder_of}/index.md"
            rows = ["---", "search:", "  boost: 0.5", "---", f"# {title}", "", words, ""]
            items = [index]
            intro += [f"## [{title}]({folder_of}/index.md)", "", words, "", " · ".join(f"[{self.title_of(f)}]({os.path.relpath(self.page_of(f), 'reference')})" for f in sorted(files, key=lambda f: self.title_of(f).lower())), ""]
            for file in sorted(files, key=lambda f: self.title_of(f).lower()):
                page = self.page_of(file)
                items.append({self.title_of(file): page})
                rows += [f"## [{self.title_of(file)}]({os.path.basename(page)})", "", '<div class="names" markdown>', "", "| name | |", "|---|---|"]
                for e in self.pages[file]:
                    spans = ", ".join(f"[`{n}`]({os.path.basename(page)}#{e.anchors[n]})" for n in e.names)
                    rows.append(f"| {spans} | {self.brief(e, index)} |")
                rows += ["", "</div>", ""]
                self.put(folder, page, self.page(file, page))
            self.put(folder, index, rows)
            nav.append({title: items})
        self.put(folder, "reference/index.md", intro)
        self.put(folder, "reference/names.md", self.all_names())
        self.put(folder, "reference/inside.md", self.inside_page())
        return ["reference/index.md", *nav, {"All names": "reference/names.md"}, {"Inside the library": "reference/inside.md"}]

    @staticmethod
    def put(folder, page, lines):
        path = os.path.join(folder, page)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")

    def page(self, file, page):
        with open("include/" + file) as f:
            head = []
            for line in f:
                if not line.startswith("//"):
                    break
                head.append(line[2:].rstrip("\n").removeprefix(" "))
        names = "`#include <volute/volute.hpp>` has it." if file in self.umbrella else "Not in `volute/volute.hpp`."
        scope = self.pages[file][0].scope
        out = [f"# {self.title_of(file)}", "", self.prose("\n".join(head), page, scope), "", f"```cpp", f"#include <{file}>", "```", ""]
        out += [f'<p class="umbrella" markdown>{names}' + (f" Names are in namespace `{scope}`." if scope != "volute" else "") + "</p>", ""]
        for e in self.pages[file]:
            out += self.entry(e, page)
        return out

    def all_names(self):
        rows = ["---", "search:", "  exclude: true", "---", "# All names", ""]
        letters = {}
        for e in self.entries():
            for name in e.names:
                letters.setdefault(name[0].upper() if name[0].isalpha() else "Operators", []).append((name.lower(), e.qualified(name), e, name))
        for letter in sorted(letters, key=lambda l: (len(l) > 1, l)):
            rows += [f"## {letter}", "", '<div class="names" markdown>', "", "| name | |", "|---|---|"]
            for _, qualified, e, name in sorted(letters[letter], key=lambda r: r[:2]):
                rows.append(f"| [`{qualified}`]({os.path.relpath(self.page_of(e.file), 'reference')}#{e.anchors[name]}) | {self.brief(e, 'reference/names.md')} |")
            rows += ["", "</div>", ""]
        return rows

    def inside_page(self):
        rows = ["---", "search:", "  boost: 0.2", "---", "# Inside the library", "",
                "What has a comment but is not meant for users: it may change in any version. [Architecture](../architecture.md) tells how it hangs together,",
                "[Adding an operation](../adding_an_operation.md) where to reach in.", ""]
        by_room = {}
        for d in self.inside:
            if d.doc and "detail" not in d.scope and "function" != d.scope.split("::")[-1]:
                by_room.setdefault(room(d.file), {}).setdefault(d.file, []).append(d)
        for folder in [r for r in INSIDE if r in by_room] + sorted(set(by_room) - set(INSIDE)):
            rows += [f"## {folder}/", "", '<div class="names" markdown>', "", "| name | |", "|---|---|"]
            for file, found in by_room[folder].items():
                for d in found:
                    e = Entry(d)
                    name = (d.scope + "::" + d.name).removeprefix(PREFIX).replace("|", "\\|")
                    rows.append(f"| <a href=\"../source/include/{d.file}.html#L-{d.line}\">`{name}`</a> | {self.brief(e, 'reference/inside.md')} |")
            rows += ["", "</div>", ""]
        return rows


class Examples:
    """Where a name is used in code that the tests compile: blocks of the pages first, then assertions and test cases."""

    def __init__(self, reference):
        self.reference, self.places, self.used, self.shown = reference, {}, set(), {}
        for path in ["README.md", *sorted(glob.glob("docs/*.md"))]:
            heading, block = "", None
            with open(path) as f:
                for number, line in enumerate(f, 1):
                    if block is None and line.startswith("```cpp"):
                        block = []
                    elif block is not None and line.startswith("```"):
                        self.add(block, 0, path, heading)
                        block = None
                    elif block is not None:
                        block.append((number, line.rstrip("\n")))
                    elif m := re.match(r"#+ (.*)", line):
                        heading = m[1].strip()
        for path in sorted(glob.glob("tests/static/*.cpp")) + sorted(glob.glob("tests/unit/*.cpp")):
            with open(path) as f:
                rank = -1 if "examples_" in path else 1 if "static" in path else 2
                self.add([(n, line.rstrip("\n")) for n, line in enumerate(f, 1)], rank, path, "")

    def rank(self, name, rank):
        """Paragraphs that are examples of a name come first, but not of the words that all of them are written in."""
        if rank >= 0:
            return rank
        return -1 if sum(r < 0 for r, *_ in self.places[name]) <= 4 else 0.5

    def add(self, block, rank, path, heading):
        """Paragraphs of a block, or lines with one whole statement."""
        paragraph = []
        for number, line in [*block, (0, "")]:
            if rank < 0 and line.startswith(("TEST_CASE", "}")):
                continue
            if line.strip() and not line.startswith(("#include", "namespace", "using namespace", "}  //")):
                paragraph.append((number, line))
                continue
            for word in set(re.findall(r"\w+", " ".join(l for _, l in paragraph))):
                self.places.setdefault(word, []).append((rank, path, heading, paragraph))
            paragraph = []

    def of(self, e, page):
        name = e.names[0]
        if name.startswith(("operator", "~")):
            return []
        space = e.scope.removeprefix("volute").removeprefix("::")
        kinds = {d.kind for d in e.declarations}
        made = any(d.code.startswith("template") for d in e.declarations)
        if space == "option":
            word = rf"(?<![\w.]){name}<" if made else rf"(?<=, ){name}(?=[,)])"
        elif space:
            word = rf"(?<!\w){space}::{name}\b"
        elif kinds == {"function"}:
            word = rf"(?<![\w.:>]){name}(?:<[^;()]*>)?\("
        elif made:
            word = rf"(?<![\w.:]){name}<"
        else:
            word = rf"(?<![\w.:]){name}\b"
        best = None
        for rank, path, heading, paragraph in self.places.get(name, []):
            hits = [i for i, (_, line) in enumerate(paragraph) if re.search(word, line.split("//")[0])]
            if not hits:
                continue
            if rank > 0 and "TEST_CASE" in paragraph[0][1] or len(paragraph) > 9:
                shown = self.statement(paragraph, hits[0], 0 if rank else 2)
            else:
                shown = paragraph
            if not shown or len(shown) > 12:
                continue
            score = (self.rank(name, rank), abs(len(shown) - 3), sum(len(line) for _, line in shown))
            if best is None or score < best[0]:
                best = (score, rank, path, heading, shown)
        if best is None:
            return []
        _, rank, path, heading, shown = best
        if (page, shown[0]) in self.shown:
            return ["", f"Example: with [`{self.shown[page, shown[0]].names[0]}`](#{self.shown[page, shown[0]].anchors[self.shown[page, shown[0]].names[0]]}).", ""]
        self.shown[page, shown[0]] = e
        indent = min(len(line) - len(line.lstrip()) for _, line in shown if line.strip())
        code = [line[indent:] for _, line in shown]
        if rank == 0:
            target = "index.md" if path == "README.md" else path.removeprefix("docs/")
            up = os.path.relpath(target, os.path.dirname(page))
            where = f"From [{escaped(heading)}]({up}#{slug(heading)})" if path != "README.md" else f"From [the first program]({up})"
        else:
            self.used.add(path)
            up = "../" * page.count("/")
            where = f'From <a href="{up}source/{path}.html#L-{shown[0][0]}">{path}</a>'
        return ["", '<div class="example" markdown>', "", f"{where}, which the tests compile:", "", "```cpp", *code, "```", "", "</div>", ""]

    @staticmethod
    def statement(paragraph, hit, around=0):
        """The statement with this line: from behind the last end of one to its own."""
        first = hit
        while first > 0 and not re.search(r"[;{}]\s*(//.*)?$", paragraph[first - 1][1]):
            first -= 1
        last, depth = hit, 0
        text = "".join(line for _, line in paragraph[first:hit + 1])
        while last < len(paragraph) - 1 and not (re.search(r"[;}]\s*(//.*)?$", paragraph[last][1]) and balance("".join(line for _, line in paragraph[first:last + 1])) <= 0):
            last += 1
        shown = paragraph[max(0, first - around):last + 1 + around]
        return shown if balance("".join(l for _, l in shown)) == 0 else paragraph[first:last + 1] if balance("".join(l for _, l in paragraph[first:last + 1])) == 0 else None


def balance(text):
    """Open brackets; -1 if one is closed that was not opened."""
    depth = 0
    for c in re.findall(r"[(){}\[\]]", text):
        depth += 1 if c in "({[" else -1
        if depth < 0:
            return -1
    return depth


def slug(heading):
    """As MkDocs makes anchors of headings."""
    plain = unicodedata.normalize("NFKD", re.sub(r"[`*]", "", heading)).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
