"""Attention that is written out, softmax(q k^T scale + biases) v, becomes one step, whose scores are never built: of a network's windows of
343 tokens and 8 features (AVX2, bench/products) it takes 0.22 of the time. Steps between the products are followed where they keep the two axes of the
scores; whatever else stands there, and attention whose weights something else reads, stays as it is written."""
import math
import re

from structure import references

KEEP = ("dropout.default", "dropout_.default", "to.dtype", "clone.default", "contiguous.default", "alias.default", "view.default",
        "reshape.default", "_unsafe_view.default", "unsqueeze.default", "squeeze.dim", "squeeze.dims", "squeeze.default", "expand.default")


def without_ones(extents):
    return [e for e in extents if e != 1]


class Unlike(Exception):
    """Not attention, or not such that one step says it."""


class Recogniser:
    def __init__(self, description):
        self.d, self.maker, self.shapes, self.types, self.uses = description, {}, {}, {}, {}
        for i in description["inputs"]:
            self.note("%" + i["id"], i["shape"], i["type"])
        for kind, table in (("%p:", description["parameters"]), ("%c:", description["constants"])):
            for name, e in table.items():
                self.note(kind + name, e["shape"], e["type"])
        for s in description["steps"]:
            for name, extents, type in s["out"]:
                self.maker["%" + name] = s
                self.note("%" + name, extents, type)
        for r in [*(r for s in description["steps"] for r in references(s["in"])), *references(description["results"])]:
            self.uses[r] = self.uses.get(r, 0) + 1
        self.number = max((int(n) for n in re.findall(r"\d+", " ".join(self.maker))), default=0)

    def note(self, ref, extents, type):
        self.shapes[ref], self.types[ref] = list(extents), type

    def product(self, step):
        """(a, b, whether b is transposed) of a product of matrices."""
        op, left = step["op"].removeprefix("aten."), step["in"]
        if op in ("matmul.default", "bmm.default"):
            return left["self"], left.get("other", left.get("mat2")), False
        if op == "einsum.default" and len(left["tensors"]) == 2:
            form = re.fullmatch(r"(\w*)(\w)(\w),\1(\w)(\w)->\1(\w)(\w)", left["equation"].replace(" ", ""))
            if form:
                _, m, k, p, q, *out = form.groups()
                if out == [m, q] and p == k:
                    return *left["tensors"], False
                if out == [m, p] and q == k:
                    return *left["tensors"], True
        raise Unlike

    def step_of(self, ref):
        if ref not in self.maker or self.uses[ref] != 1:
            raise Unlike
        return self.maker[ref]

    def kept(self, step):
        """The operand of a step that changes neither numbers nor the last two axes; None for others."""
        op, left = step["op"].removeprefix("aten."), step["in"]
        if op not in KEEP:
            return None
        x, out = left.get("self", left.get("input")), step["out"][0]
        same = self.shapes[x][-2:] == out[1][-2:] and math.prod(self.shapes[x]) == math.prod(out[1]) and self.types[x] == out[2]
        return x if same and not left.get("train") else None

    def down_to(self, ref):
        """The first step above that does something."""
        step = self.step_of(ref)
        while (x := self.kept(step)) is not None:
            step = self.step_of(x)
        return step

    def scores(self, ref):
        """q, k, whether k is transposed, the scale, and [(bias, the scores' extents where it is added)]."""
        scale, biases = 1.0, []
        while True:
            step = self.down_to(ref)
            op, left, extents = step["op"].removeprefix("aten."), step["in"], step["out"][0][1]
            if op in ("mul.Tensor", "mul.Scalar", "div.Tensor", "div.Scalar") and isinstance(left["other"], (int, float)):
                scale = scale * left["other"] if op.startswith("mul") else scale / left["other"]
                ref = left["self"]
            elif op == "add.Tensor" and left["alpha"] == 1 and scale == 1 and isinstance(left["other"], str):
                inner = [r for r in (left["self"], left["other"]) if self.leads_to_product(r, extents)]
                if len(inner) != 1:
                    raise Unlike
                ref = inner[0]
                biases.append((left["other"] if ref == left["self"] else left["self"], extents))
            else:
                return *self.product(step), scale, biases

    def leads_to_product(self, ref, extents):
        if self.shapes[ref] != extents:
            return False
        try:
            self.scores(ref)
            return True
        except Unlike:
            return False

    @staticmethod
    def parted(bias, scores, finest):
        """The leading extents of a bias, 1 or those of the scores that it is added to, over axes that those of the scores are made of."""
        result, rest = [], list(finest)
        for n, of in zip(bias, scores):
            whole = 1
            while whole < of and rest:
                part = rest.pop(0)
                whole *= part
                result.append(part if n != 1 else 1)
            if whole != of:
                raise Unlike
        return result

    def reshaped(self, ref, extents, last, steps):
        return ref if self.shapes[ref] == extents else self.made("aten.reshape.default", {"self": ref, "shape": extents}, extents, last, steps)

    def made(self, op, arguments, extents, last, steps):
        self.number += 1
        step = {"op": op, "in": arguments, "out": [[str(self.number), extents, last["out"][0][2]]], "scope": last["scope"],
                **{k: last[k] for k in ("line", "name") if k in last}}
        steps.append(step)
        ref = "%" + step["out"][0][0]
        self.maker[ref] = step
        self.note(ref, extents, last["out"][0][2])
        return ref

    def recognised(self, last):
        """The steps in the place of a product with the values."""
        weights, v, transposed = self.product(last)
        softmax = self.down_to(weights)
        if transposed or softmax["op"] not in ("aten.softmax.int", "aten._softmax.default"):
            raise Unlike
        within = softmax["in"]["self"]
        if softmax["in"]["dim"] not in (-1, len(self.shapes[within]) - 1) or self.types[within] != softmax["out"][0][2]:
            raise Unlike
        q, k, transposed, scale, biases = self.scores(within)
        steps = []
        points = [self.shapes[r][:-2] for r in (q, k, v)] + [e[:-2] for _, e in biases] + [self.shapes[within][:-2]]
        finest = max((without_ones(p) for p in points), key=len)
        if any(math.prod(p) != math.prod(finest) for p in points):  # leading axes that broadcast
            raise Unlike
        out = last["out"][0][1]
        lead = out[:-2] if without_ones(out[:-2]) == finest else finest
        added = []
        for bias, extents in biases:
            e = self.shapes[bias]
            if len(e) > 2:
                e = [1] * (len(extents) - len(e)) + e
                kept = iter(self.parted(e[:-2], extents[:-2], finest))
                e = [next(kept) if n != 1 else 1 for n in lead] + e[-2:]
            added.append((bias, e))
        if not transposed:
            inner = self.maker.get(k, {"op": ""})
            swapped = inner["op"] == "aten.transpose.int" and {inner["in"]["dim0"] % len(self.shapes[k]), inner["in"]["dim1"] % len(
                self.shapes[k])} == {len(self.shapes[k]) - 2, len(self.shapes[k]) - 1}
            *rest, features, keys = self.shapes[k]
            k = inner["in"]["self"] if swapped else self.made("aten.transpose.int", {"self": k, "dim0": -2, "dim1": -1},
                                                              [*rest, keys, features], last, steps)
        q, k, v = (self.reshaped(r, lead + self.shapes[r][-2:], last, steps) for r in (q, k, v))
        result = self.made("volute.attention", {"query": q, "key": k, "value": v,
                                                "biases": [self.reshaped(b, e, last, steps) for b, e in reversed(added)], "scale": scale},
                           lead + out[-2:], last, steps)
        steps.append({**last, "op": "aten.reshape.default", "in": {"self": result, "shape": out}})
        return steps


def recognise(description):
    """A description in which attention is one step each. What its formulas read, and nothing else, is left for Structure to drop."""
    recogniser, steps = Recogniser(description), []
    for step in description["steps"]:
        try:
            steps += recogniser.recognised(step)
        except Unlike:
            steps.append(step)
    return {**description, "steps": steps}
