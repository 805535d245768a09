"""Writing: a description becomes C++ structs, one for each class of module with equal bodies. Plain Python, without dependencies."""
import math
import re

from attention import recognise
from description import Refused
from expressions import E, FUNCTIONS, MARK, OPTION, literal, number
from operation import LEAVE_RANGE, LIMITS, in_range
from operations import TABLE, Layer, Operand, Operation
from structure import Call, Step, Structure, references

WIDTH = 120
FORMALS = "x y z u v w".split()
RESERVED = {"model", "input", "parameter", "state", "handle"}
ROLES = {"in": "In", "out": "Out", "channels": "Channels", "stride": "Stride", "kernel": "Kernel", "padding": "Padding", "extent": "N",
         "groups": "Groups", "dilation": "Dilation", "scale": "Scale"}  # what a number is, and the template parameter that it becomes


def taken(name):
    """Whether a name is one of the library, of the language, or of a template parameter."""
    return name in FUNCTIONS or name.rstrip("0123456789") in ROLES.values()


class Definition:
    """The struct of a call before equal ones are found: its base name, and its text with marked numbers in which NAME stands for it."""

    def __init__(self, base, text):
        self.base, self.text = base, text


def plain(text):
    """Without marks: what the numbers say, without options that go without saying."""
    def kept(m):
        found = MARK.findall(m[1])
        return "" if found and len(found) == m[1].count(",") and all(v == d for _, v, d in found) else m[1]
    text = OPTION.sub(kept, text)
    return MARK.sub(lambda m: m[2], text)


def identifier(label):
    name = re.sub(r"\W", "_", label)
    if name[:1].isdigit():
        name = "layer_" + name
    return name + "_" if taken(name) or name in FORMALS or name.endswith("__") else name


def camel(label):
    return "".join(w[:1].upper() + w[1:] for w in re.split(r"\W|_", label) if w)


class Writer:
    def __init__(self, description):
        self.d = description = recognise(description)
        self.structure = Structure(description)
        self.structs = []        # (name, text) in the order of definition
        self.found = {}          # (base name, text) of a struct: its number
        self.folded = {}         # path of a state that holds a constant: constant's id
        self.type_of, self.definition_of = {}, {}
        self.calls = list(self.structure.calls(self.structure.root))
        self.twice = self.repeated()
        self.bases = {self.base(c) for c in self.calls}
        for height in range(self.structure.root.height + 1):
            level = [c for c in self.calls if c.height == height]
            for c in level:
                self.define(c)
            self.unify([c for c in level if c in self.definition_of])
        self.emit()

    def repeated(self):
        """Paths whose module is called more than once, or has a parameter that is read from outside too."""
        seen, twice = set(), set()
        for c in self.calls:
            (twice if c.path in seen else seen).add(c.path)
        for r, owners in self.structure.owner.items():
            if r.startswith("%p:"):
                contexts = sorted({o.context for o in owners.values()}, key=len)
                twice.update(contexts[1:])
        return twice

    def refuse(self, what, step, remedy=""):
        scope = self.d["scopes"][step["scope"]]
        line = self.d["lines"][step["line"]] if step["line"] >= 0 else ""
        if ".parametrizations." in "." + scope["path"]:
            remedy = "take the parametrization away first, with torch.nn.utils.parametrize.remove_parametrizations: the weight stays as it is"
        raise Refused(what, step["op"], scope["path"] or "(the network itself)", line, remedy)

    @staticmethod
    def anonymous(cls):
        return cls.startswith("torch.nn.modules.container.") or cls.split(".")[-1] == "Sequential"

    def base(self, c):
        """What the struct of a call is named after: its class, or its place if that says nothing."""
        name = self.d["name"] if not c.parent else c.cls.split(".")[-1]
        if c.parent and self.anonymous(c.cls):
            name = camel(re.sub(r"(\.\d+)+$", "", c.path).split(".")[-1]) or "Sequential"
        return re.sub(r"^(?=\d)", "Layer", re.sub(r"\W", "_", name))

    # ---------------------------------------------------------------- one call
    def define(self, c):
        body = Body(self, c)
        layer = body.as_layer()
        if layer and c.parent:
            self.type_of[c] = layer
            return
        row = body.as_row()
        if row and self.anonymous(c.cls) and c.parent:
            text = f"nn::sequential<{', '.join(row)}>"
            if len(plain(text)) < 90 and len(row) <= 3:
                self.type_of[c] = text
                return
        base = self.base(c)
        base_class = layer or row and f"nn::sequential<{', '.join(row)}>"  # the network may be a single layer
        text = f"struct NAME : {base_class} {{}};" if base_class else body.as_struct()
        self.definition_of[c] = Definition(base, text)
        self.folded.update({path: id for path, id in body.folded.items() if quoted(path.split(".")[-1]) in text})

    # ---------------------------------------------------------------- equal bodies once
    def unify(self, calls):
        groups = {}
        for c in calls:
            d = self.definition_of[c]
            groups.setdefault((d.base, MARK.sub("#", d.text)), []).append(c)
        for (base, _), members in groups.items():
            texts = [self.definition_of[c].text for c in members]
            columns = list(zip(*[[int(v) for _, v, _ in MARK.findall(t)] for t in texts]))
            roles = [r for r, _, _ in MARK.findall(texts[0])]
            parameters, at = self.parameters(columns, roles)
            if len(parameters) > 8:  # no one would write that: a struct for each
                by_text = {}
                for c in members:
                    by_text.setdefault(plain(self.definition_of[c].text), []).append(c)
                for text, same in by_text.items():
                    self.name(base, plain(text), [], same)
                continue
            spelled = iter(at)
            columns_left = iter(columns)
            def put(m):
                s, column = next(spelled), next(columns_left)
                return s if s is not None else f"\x01{m[1]}={column[0]}?{m[3]}\x02"
            text = MARK.sub(put, texts[0])
            self.name(base, plain(text), parameters, members)

    def parameters(self, columns, roles):
        """The template parameters of a group [(name, values, role)], and for each number None (equal everywhere) or how it is written."""
        parameters, at = [], []
        for column, role in zip(columns, roles):
            if len(set(column)) == 1:
                at.append(None)
                continue
            found = None
            for name, values, _ in parameters:
                if values == column:
                    found = name
                    break
                ratio = column[0] / values[0] if values[0] else 0
                if all(v and c == v * ratio for c, v in zip(column, values)):
                    if ratio == int(ratio):
                        found = f"{name} * {int(ratio)}"
                        break
                    if ratio and 1 / ratio == int(1 / ratio):
                        found = f"{name} / {int(1 / ratio)}"
                        break
            if found is None:
                base = ROLES.get(role, "N")
                found, k = base, 2
                while any(found == n for n, _, _ in parameters):
                    found, k = f"{base}{k}", k + 1
                parameters.append((found, column, role))
            at.append(found)
        return parameters, at

    def name(self, base, text, parameters, members):
        """A token stands for the name until it is known which struct comes first: that one has the plain name."""
        known = self.found.setdefault((base, text), len(self.found))
        token = f"\x05{known}\x06"
        head = f"template <{', '.join('int ' + p for p, _, _ in parameters)}>\n" if parameters else ""
        for i, c in enumerate(members):
            arguments = ", ".join(number(values[i], role) for _, values, role in parameters)
            self.type_of[c] = f"{token}<{arguments}>" if parameters else token
            self.definition_of[c].struct = (token, base, head + text.replace("NAME", token))

    def emit(self):
        names, ordered = {}, []
        for c in self.calls:  # children first, in the order of the program
            d = self.definition_of.get(c)
            if d and d.struct[0] not in names:
                token, base, text = d.struct
                base = base + "_" if taken(base) or base in RESERVED else base
                name, k = base, 2
                while name in names.values():
                    name, k = f"{base}{k}", k + 1
                names[token] = name
                ordered.append((token, text))
        self.structs = [(names[token], re.sub("\x05\\d+\x06", lambda m: names[m[0]], text)) for token, text in ordered]

    @property
    def text(self):
        return "\n\n".join(formatted(text) for _, text in self.structs)

    @property
    def root(self):
        return self.structs[-1][0]


class Body:
    """The body of one call: translates its steps, gives values names, and writes them as a layer, a row of layers or a struct."""

    def __init__(self, writer, c):
        self.w, self.c = writer, c
        self.values, self.statements, self.members = {}, [], {}
        self.local_constants, self.folded = {}, {}
        self.names = set()
        self.uses = {}
        for item in c.items:
            for r in self.read_by(item):
                self.uses[r] = self.uses.get(r, 0) + 1
        for r in c.outputs:
            self.uses[r] = self.uses.get(r, 0) + 1
        labels = [i.label for i in c.items if isinstance(i, Call)]
        self.layer_of = []
        formals = FORMALS if len(c.inputs) <= len(FORMALS) else [f"x{i}" for i in range(len(c.inputs))]
        for r, f in zip(c.inputs, formals):
            self.values[r] = E(f)
            self.names.add(f)
        self.formals = formals[:len(c.inputs)]
        self.member_names = {self.member(l) for l in labels}
        for i, item in enumerate(c.items):
            following = c.items[i + 1] if i + 1 < len(c.items) else None
            self.add(item, following)

    def member(self, label):
        """An attribute's name in C++, where a struct has it already with a _."""
        name = identifier(label)
        return name + "_" if re.sub(r"\d+$", "", name) in self.w.bases else name

    def read_by(self, item):
        return item.inputs if isinstance(item, Call) else list(references(item.entry["in"]))

    # ---------------------------------------------------------------- what a reference is here
    def operand(self, ref):
        extents, type = self.w.structure.shape_of[ref]
        if ref not in self.values:
            if ref.startswith("%p:"):
                self.values[ref] = self.parameter(ref[3:], extents)
            elif ref.startswith("%c:"):
                self.values[ref] = self.constant(ref, extents)
        entry = self.w.d["constants"][ref[3:]] if ref.startswith("%c:") else {}
        values = entry.get("values", [entry["fill"]] * math.prod(extents) if "fill" in entry else None)
        return Operand(ref, self.values[ref], extents, type, values)

    def parameter(self, path, extents):
        local = path[len(self.c.context) + 1:] if self.c.context else path
        kind = "parameter" if self.w.d["parameters"][path]["learned"] else "state"
        return E(f"{kind}<{', '.join([quoted(local), *(number(e, 'extent') for e in extents)])}>")

    def constant(self, ref, extents):
        entry = self.w.d["constants"][ref[3:]]
        dims = "".join(", " + number(e, "extent") for e in extents)
        if "fill" in entry:
            v = entry["fill"]
            return E(f"constant<{literal(v)}{dims}>")
        if "values" in entry:
            values = entry["values"]
            if any(v != v or v != v // 1 for v in values):
                vector = f"concat(axis<0>, {', '.join(f'constant<{literal(v)}, 1>' for v in values)})"
            else:
                values = [int(v) for v in values]
                vector = f"arange<{len(values)}>" if values == list(range(len(values))) else f"indices<{', '.join(map(str, values))}>"
            if len(extents) == 1:
                return E(vector)
            return E(f"reshape({vector}, shape<{', '.join(number(e, 'extent') for e in extents)}>)")
        name = f"folded_{len(self.local_constants)}"
        self.local_constants[ref] = name
        path = f"{self.c.context}.{name}" if self.c.context else name
        self.folded[path] = ref[3:]
        return E(f"state<{quoted(name)}{dims}>")

    # ---------------------------------------------------------------- one item
    def add(self, item, following):
        if isinstance(item, Call):
            return self.add_call(item, following)
        o = Operation(item.entry, self.operand, self.w.refuse, self.c.cls.split(".")[-1], len(self.layer_of), self.named, self.w.structure)
        translate = TABLE.get(o.op)
        if translate is None:
            self.w.refuse("has no translation to C++", item.entry, "write it with operations that have one (docs/from_pytorch.md), or add it to tools/export/operations/")
        if any(t in ("F64", "F16", "BF16") for _, _, t in item.entry["out"]):
            self.w.refuse(f"computes in {item.entry['out'][0][2]}", item.entry, "export the network in float: net.float(), and without casts to other types in forward")
        axes = max(len(extents) for _, extents, _ in item.entry["out"])
        if axes > 8:
            self.w.refuse(f"makes a tensor of {axes} axes: there are at most 8", item.entry, "merge neighbouring axes that stay together, before or after in two steps")
        if any(0 in extents for _, extents, _ in item.entry["out"]):
            self.w.refuse("makes a tensor without elements", item.entry, "leave it out, for these sizes of the input")
        try:
            result = translate(o)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
            self.w.refuse(f"stops the exporter ({type(e).__name__}: {e})", item.entry, "report it with this message")
        o.finish()
        if o.op.split(".")[1] in LEAVE_RANGE and (o.type in LIMITS or o.type == "BOOL"):
            result = in_range(self.named(result), o.type)
        results = result if isinstance(result, list) else [result]
        for made, r in zip(item.made, results):
            if callable(r):  # what is made where it is used only
                r = r() if self.uses.get(made) else None
            if r is None:
                if self.uses.get(made):
                    self.w.refuse("gives the places of the maxima, which are used", item.entry, "pool without return_indices; go back up with interpolate or a transposed convolution")
                continue
            layer = None
            if isinstance(r, Layer):
                layer, r = r, self.applied(r, item)
            self.layer_of.append((item, layer, made))
            self.keep(made, r, item.name, following, len(results) > 1)

    def local_layer(self, layer):
        """Whether the parameters of a layer have its own names here."""
        for name, p in layer.parameters.items():
            wanted = f"{self.c.context}.{name}" if self.c.context else name
            if p.ref != "%p:" + wanted or p.ref in self.c.inputs:
                return False
        return True

    def applied(self, layer, item):
        if layer.otherwise:
            return layer.otherwise()
        if layer.parameters and not self.local_layer(layer):
            self.w.refuse("has parameters under names that the layer does not have", item.entry, "use the module of torch.nn")
        type = layer.type
        if "dropout" in type or "drop_path" in type:  # its random numbers want a name
            type = f"nn::named<\"drop_{len(self.layer_of)}\", {type}>"
        return E(f"{type}{{}}({layer.operand.e.text})")

    def add_call(self, item, following):
        type = self.w.type_of[item]
        arguments = [self.operand(r) for r in item.inputs]
        joined = ", ".join(a.e.text for a in arguments)
        plain_type = plain(type)
        free = re.fullmatch(r"nn::(relu|sigmoid|tanh|silu|gelu|gelu_tanh|flatten|hardswish|hardsigmoid|relu6|selu|mish|softmax<\d+>|leaky_relu<[^<>]*>|elu<[^<>]*>)", plain_type)
        if free and len(item.outputs) == 1:
            f = free[1]
            m = re.match(r"softmax<(\d+)>", f)
            e = E(f"softmax({joined}, axis<{m[1]}>)") if m else E(f"{f}({joined})")
        elif plain_type == "nn::identity":
            e = arguments[0].e
        elif item.label:
            wrapper, label = "nn::shared" if item.path in self.w.twice else "nn::named", item.label
            if re.match(r"nn::drop", plain_type) and wrapper == "nn::shared":  # each call drops by numbers of its own
                wrapper, k = "nn::named", 1 + sum(l.startswith(label) for _, l, _ in self.members.values())
                label = label if k == 1 else f"{label}_{k}"
            name = self.member(label)
            while name in self.names or (name in self.members and self.members[name][1:] != (label, type)):
                name += "_"
            self.members[name] = (wrapper, label, type)
            e = E(f"{name}({joined})")
        else:
            e = E(f"invoke<{type}>({joined})")
        self.layer_of.append((item, None, item.outputs[0] if item.outputs else None))
        if len(item.outputs) == 1:
            return self.keep(item.outputs[0], e, item.name, following, False)
        given = item.name.split(",")
        known = item.places and len(given) == len(item.returns)
        fresh = [self.fresh(given[p]) for p in item.places] if known else [self.fresh("y") for _ in item.outputs]
        self.statements.append(f"const auto [{', '.join(fresh)}] = {e.text};")
        for r, n in zip(item.outputs, fresh):
            self.values[r] = E(n)

    def keep(self, made, e, name, following, several):
        """The value stands where it is used, if that is one place and the text is not too long; else it gets a name."""
        uses = self.uses.get(made, 0)
        short = len(plain(e.text)) <= 90
        simple = re.fullmatch(r"\w+", e.text)
        if simple or uses <= 1 and short and not several or uses == 0:
            self.values[made] = e
            return
        if several and uses <= 1 and short:
            self.values[made] = e
            return
        if not name or "," in name or (following is not None and getattr(following, "name", "") == name and isinstance(following, Step)):
            name = "y"
        fresh = self.fresh(name)
        self.statements.append(f"const auto {fresh} = {e.text};")
        self.values[made] = E(fresh)

    def named(self, e):
        """What is written more than once: under a name, unless it is short and calls no layer."""
        if len(plain(e.text)) <= 30 and not any(f in self.members for f in re.findall(r"(\w+)\(", e.text)):
            return e
        name = self.fresh("y")
        self.statements.append(f"const auto {name} = {e.text};")
        return E(name)

    def fresh(self, name):
        name = re.sub(r"\W", "", name) or "y"
        base, k = name, 2
        if taken(name) or name in self.member_names:
            name = base + "_"
            base = name
        while name in self.names or name in FUNCTIONS or name in self.member_names:
            name, k = f"{base}{k}", k + 1
        self.names.add(name)
        return name

    # ---------------------------------------------------------------- its form
    def as_layer(self):
        """The type of a layer, if that is all there is."""
        if len(self.c.outputs) != 1:
            return None
        if len(self.c.inputs) == 1 and self.operand(self.c.outputs[0]).e is self.values[self.c.inputs[0]] and not self.members:
            return "nn::identity"
        if len(self.layer_of) != 1 or len(self.c.items) != 1:
            return None
        item, layer, made = self.layer_of[0]
        if layer is None or len(self.c.inputs) != 1 or layer.operand.ref != self.c.inputs[0] or not self.local_layer(layer):
            return None
        return layer.type

    def as_row(self):
        """The layers of a row, if each item reads the one before and nothing else."""
        if len(self.c.inputs) != 1 or len(self.c.outputs) != 1 or not self.c.items or self.local_constants:
            return None
        before, row, labels = self.c.inputs[0], [], []
        for item in self.c.items:
            if isinstance(item, Call):
                if item.inputs != [before] or len(item.outputs) != 1 or not item.label or item.path in self.w.twice:
                    return None
                row.append(self.w.type_of[item])
                labels.append(item.label)
                made = item.outputs[0]
            else:
                found = [(l, m) for i, l, m in self.layer_of if i is item]
                if len(found) != 1:
                    return None
                layer, made = found[0]
                if layer is None and list(references(item.entry["in"])) == [before] and self.values[made] is self.operand(before).e:
                    if self.uses.get(before, 0) != 1:
                        return None
                    before = made  # a step that does nothing
                    continue
                if layer is None or layer.operand.ref != before or layer.parameters or "drop" in layer.type:
                    return None
                row.append(layer.type)
                labels.append(None)
            if self.uses.get(before, 0) != 1:
                return None
            before = made
        if before != self.c.outputs[0]:
            return None
        return self.numbered(row, labels)

    def numbered(self, row, labels):
        """Names where the place does not say them; a module that leaves nothing to do keeps its place."""
        if all(l is not None and l.isdigit() for l in labels):
            places = [int(l) for l in labels]
            if places == sorted(set(places)) and places[-1] - len(places) < 3:
                full = ["nn::identity"] * (places[-1] + 1)
                for p, t in zip(places, row):
                    full[p] = t
                return full
        parameterless = re.compile(r"nn::(relu|sigmoid|tanh|silu|gelu|flatten|leaky_relu|elu|softmax|max_pool|avg_pool|upsample|identity|zero_pad)")
        out = []
        for l, t in zip(labels, row):
            if t == "nn::identity":
                continue
            out.append(t if l is None or parameterless.match(t) else f"nn::named<{quoted(l)}, {t}>")
        return out

    def returned(self):
        texts = [self.operand(r).e.text for r in self.c.outputs]
        if self.c.parent is None:
            return self.root_results(self.w.d["results"])
        return texts[0] if len(texts) == 1 else f"std::tuple{{{', '.join(texts)}}}"

    def root_results(self, structure, name=None):
        if isinstance(structure, str):
            text = self.operand(structure).e.text
            return f"named_result<{quoted(name)}>({text})" if name else text
        parts = []
        if "dict" in structure:
            parts = [self.root_results(v, k) for k, v in structure["dict"].items() if v is not None]
        else:
            parts = [self.root_results(v) for v in structure["list"] if v is not None]
        return parts[0] if len(parts) == 1 else f"std::tuple{{{', '.join(parts)}}}"

    def as_struct(self):
        result = self.returned()
        rows = ["struct NAME {"]
        for name, (wrapper, label, type) in self.members.items():
            rows.append(f"  {wrapper}<{quoted(label)}, {type}> {name};")
        read = set(re.findall(r"\w+", " ".join([*self.statements, result])))
        arguments = ", ".join(f"expression auto {f}" if f in read else "expression auto" for f in self.formals)
        rows.append(f"  constexpr auto operator()({arguments}) const {{")
        rows += [f"    {s}" for s in self.statements]
        rows.append(f"    return {result};")
        rows += ["  }", "};"]
        return "\n".join(rows)


def quoted(name):
    return '"' + name.replace("\\", r"\\").replace('"', r'\"') + '"'


def formatted(text):
    """Lines of at most WIDTH characters."""
    m = re.search(r"(constexpr auto operator\(\)\([^)]*\) const) \{\n    (return [^\n]*;)\n  \}", text)
    if m and len(m[1]) + len(m[2]) + 8 < WIDTH:
        text = text.replace(m[0], f"{m[1]} {{ {m[2]} }}")
    m = re.search(r"(struct \w+ : nn::sequential<)(.*)(> \{\};)$", text)
    if m and len(m[0]) > WIDTH:
        text = text.replace(m[0], m[1] + "\n    " + ",\n    ".join(parts_of(m[2])) + m[3])
    rows = []
    for row in text.split("\n"):
        rows += wrapped(row)
    return "\n".join(rows)


def parts_of(text):
    """The arguments of a list, split at its outermost commas."""
    parts, depth, start = [], 0, 0
    for i, ch in enumerate(text):
        depth += (ch in "(<{[") - (ch in ")>}]")
        if ch == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def wrapped(row):
    """Broken behind the last comma or sign that fits, at the lowest depth of brackets there is."""
    indent = len(row) - len(row.lstrip())
    rows = []
    while len(row) > WIDTH:
        best, depth, quote = None, 0, False
        for i, ch in enumerate(row[:WIDTH]):
            if ch == '"':
                quote = not quote
            if quote:
                continue
            if ch in "(<{[" and not row[i - 1:i + 2] == " < ":
                depth += 1
            elif ch in ")>}]" and row[i - 1] != " ":
                depth -= 1
            if i > indent + 30 and (row[i:i + 2] == ", " or row[i:i + 3] in (" + ", " * ")):
                score = (depth, -i)
                if best is None or score < best[0]:
                    best = (score, i + (1 if ch == "," else 2))
        if best is None:
            break
        rows.append(row[:best[1]].rstrip())
        row = " " * (indent + 4) + row[best[1]:].lstrip()
    return rows + [row]
