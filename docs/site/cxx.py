"""What the headers declare: Doxygen's XML says which names there are, where, and which comment is whose; the declaration itself is cut out of
the source, without its body."""
import glob
import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field

from filter import without_requirements

INLINED = {"inlined", "isa"}  # inline namespaces, whatever a build calls them


@dataclass
class Declaration:
    scope: str      # volute::nn, or the class
    name: str
    kind: str       # function, variable, typedef, enum, concept, struct, class
    file: str       # volute/nn/convolution.hpp
    line: int
    public: bool    # of a class: its access
    doc: str        # the text of its comment
    code: str = ""  # as it is declared, without body
    group: bool = False  # stands under the comment of the declaration above it
    bases: list = field(default_factory=list)
    members: list = field(default_factory=list)


def plain(name):
    """Without template arguments and inline namespaces."""
    while "<" in name.replace("operator<", "operator"):
        shorter = re.sub(r"(?<!operator)<[^<>]*>", "", name)
        if shorter == name:
            break
        name = shorter
    return "::".join(p for p in re.sub(r"\s", "", name).split("::") if p not in INLINED)


def text_of(node):
    """A comment as it was written: filter.py made verbatim text of it."""
    parts = [v.text or "" for tag in ("briefdescription", "detaileddescription") for v in (node.find(tag) or []) for v in v.iter("verbatim")]
    lines = "\n".join(parts).strip("\n").split("\n")
    return "\n".join(l[1:] if l.startswith(" ") else l for l in lines).strip()


def start_of(lines, n):
    """The first line (from 0) of the declaration whose name stands in line n: templates and requirements before it belong to it."""
    while n > 0:
        above = lines[n - 1].strip()
        above = re.sub(r"(?<=[;,{}]) +//.*", "", above)
        if not above or above.startswith(("//", "#")) or above.endswith((";", "}", "{", "public:", "private:", "protected:")):
            break
        n -= 1
    return n


def declared(lines, first, kind):
    """The declaration that begins in this line, up to its body."""
    text = re.sub(r" *//[^\n]*", "", "\n".join(lines[first:first + 60]))
    depth, end, i = 0, len(text), 0
    whole = kind in ("enum", "concept", "typedef") or text.lstrip().startswith("enum ")
    while i < len(text):
        c = text[i]
        if c == '"' and text[i - 1:i + 2] != "'\"'":
            i = max(i, text.find('"', i + 1))
        elif c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif depth == 0 and c == ";":
            end = i
            break
        elif depth == 0 and c == "{":
            if whole:
                level = 0
                while True:
                    level += (text[i] == "{") - (text[i] == "}")
                    if level == 0:
                        break
                    i += 1
            else:
                end = i
                break
        elif depth == 0 and kind == "function" and re.match(r"\)\s*:[^:]", text[i - 1:]):
            end = i
            break
        i += 1
    code = " ".join(text[:end].split())
    code = re.sub(r"\b(inline|constexpr|VOLUTE_INLINE|friend|explicit|extern) (?!if)", "", code)
    code = re.sub(r"\[\[[^\]]*\]\] ?", "", code)
    code = re.sub(r"\bclass\.\.\. ?", "class... ", code)
    if kind in ("struct", "class"):
        code = re.sub(r"(?<![:<\w]):(?!:).*", "", re.sub(r" : .*", "", code)).replace(" final", "")
    if kind == "variable":
        head, equals, value = code.partition(" = ")
        if equals and len(value) > 40 and not code.startswith("enum"):
            code = head
    return code.strip()


def layout(code, width=76):
    """A declaration in lines: its template head, and its parameters one by one where they are many."""
    out = []
    while m := re.match(r"template ?<", code):
        depth, i = 0, m.end() - 1
        while i < len(code):
            depth += (code[i] == "<") - (code[i] == ">")
            if depth == 0:
                break
            i += 1
        out.append(code[:i + 1])
        code = code[i + 1:].strip()
    if code.startswith("concept") and len(code) > width and "{" in code:
        head, inner = code[:code.index("{") + 1], code[code.index("{") + 1:code.rindex("}")]
        rules = [r.strip() for r in re.split(r";(?![^{}]*\})", inner) if r.strip()]
        return "\n".join([*out, head, *("    " + r + ";" for r in rules), code[code.rindex("}"):]])
    if len(code) > width and "(" in code and not code.startswith(("enum", "concept", "using")):
        open_ = code.index("(", code.index("operator()") + 10 if "operator()" in code else 0)
        depth, parts, last, close = 0, [], open_ + 1, len(code)
        for i in range(open_, len(code)):
            depth += (code[i] in "(<{[") - (code[i] in ")>}]" and code[i - 1:i + 1] != "->")
            if depth == 1 and code[i] == ",":
                parts.append(code[last:i + 1].strip())
                last = i + 1
            if depth == 0:
                parts.append(code[last:i].strip())
                close = i
                break
        if close > open_ + 1:
            code = code[:open_ + 1] + "\n    " + "\n    ".join(parts) + code[close:]
    return "\n".join([*out, code])


def one_body(members, sources):
    """Doxygen throws the specialisations of a class together, some of which only stand for what is refused: the one with most to say."""
    bodies = {}
    for m in members:
        bodies.setdefault(sum(line.startswith("}") for line in sources[m.file][:m.line - 1]), []).append(m)
    return max(bodies.values(), key=lambda b: sum(bool(m.doc) for m in b), default=[])


def read(folder):
    """All declarations below namespace volute, classes with their members, in the order of the headers."""
    sources, found, classes = {}, [], {}

    def place(node):
        at = node.find("location")
        file = at.get("file").split("include/", 1)[-1]
        if file not in sources:
            with open("include/" + file) as f:
                sources[file] = without_requirements(f.read()).split("\n")
        return file, int(at.get("line"))

    def declaration(node, scope, name, kind):
        file, line = place(node)
        lines = sources[file]
        first = start_of(lines, line - 1)
        d = Declaration(scope, name, kind, file, line, node.get("prot", "public") == "public", text_of(node))
        d.code = declared(lines, first, kind)
        above = lines[first - 1].strip() if first else ""
        d.group = not d.doc and bool(above) and not above.startswith(("#", "namespace", "inline namespace", "public:", "class ", "struct "))
        trailing = re.search(r"(?<=[;,]) +//(?!/) (.*)", lines[line - 1])
        if not d.doc and trailing and kind == "variable":
            d.doc = trailing[1]
        return d

    for path in glob.glob(folder + "/*.xml"):
        for c in xml.parse(path).getroot().iter("compounddef"):
            kind, name = c.get("kind"), plain(c.findtext("compoundname"))
            if kind not in ("namespace", "struct", "class", "concept") or not name.startswith("volute"):
                continue
            members = []
            for m in c.iter("memberdef"):
                if m.get("kind") in ("function", "variable", "typedef", "enum", "friend"):
                    d = declaration(m, name, m.findtext("name"), m.get("kind"))
                    if d.kind == "friend":
                        if not d.doc or d.code.startswith(("class", "struct", "template")):
                            continue
                        d.kind = "function"
                    members.append(d)
            if kind == "namespace":
                found += members
                continue
            scope, _, last = name.rpartition("::")
            d = declaration(c, scope, last, kind)
            d.members = one_body(sorted((m for m in members if m.public), key=lambda m: m.line), sources)
            primary = re.compile(rf"(?:class|struct) {re.escape(last)};")
            for n, line in enumerate(sources[d.file][:d.line]):
                if primary.match(line):
                    d.line, d.code = n + 1, declared(sources[d.file], start_of(sources[d.file], n), kind)
            d.bases = [plain(b.text) for b in c.findall("basecompoundref")]
            known = classes.get(name)
            if known is None or known.file != d.file:
                classes.setdefault(name, d)
                found.append(d)
            else:  # a specialisation: of the refused ones nothing is told
                first, other = sorted((known, d), key=lambda e: e.line)
                first.doc = first.doc or other.doc
                if len(other.members) > len(first.members) or not first.members:
                    first.members, first.bases = other.members, other.bases
                if first is not known:
                    found[found.index(known)] = first
                    classes[name] = first
    once = {(d.file, d.line, d.name): d for d in found}
    return sorted(once.values(), key=lambda d: (d.file, d.line)), classes
