"""Elements that a mask chooses: how many they are is not known, but what is done with each and where it goes back to is."""
import math

import torch

from operations import TABLE
from reading.tensor import Masked, Tensor, functional, tensors_in

FIXED_SIZE = "keep sizes that are known before: torch.where instead of a mask as an index; of a constant mask its indices, " \
    "made in __init__"
EACH = set("""add sub rsub mul div neg exp expm1 log log1p sqrt rsqrt abs square sign pow clamp clamp_min clamp_max relu sigmoid tanh sin cos reciprocal
maximum minimum floor round silu gelu leaky_relu softplus clone detach""".split())  # what works element by element


def masked_in(v):
    if isinstance(v, Masked):
        return [v]
    return [m for x in (v.values() if isinstance(v, dict) else v) for m in masked_in(x)] if isinstance(v, (list, tuple, dict)) else []


class Masks:
    """Of a Reader, which makes steps (step, next_id, reference, replace) and refuses."""

    def chosen(self, node, name, arguments):
        """Whether the operation chooses elements by a mask, or works on such, and was read."""
        found = masked_in(arguments)
        if not found:
            if name == "index.Tensor" and any(not isinstance(e, int) for e in node.meta["val"].shape):
                given = [(a, i) for a, i in enumerate(arguments["indices"]) if i is not None]
                x = arguments["self"]
                if len(given) == 1 and isinstance(given[0][1], Tensor) and given[0][1].dtype == torch.bool and isinstance(x, Tensor):
                    self.env[node] = Masked(self.as_it_is(x, node), self.as_it_is(given[0][1], node), given[0][0], node)
                    return True
            return False
        kind, first = name.split(".")[0].rstrip("_"), found[0]
        op = functional(f"aten.{name}")
        if kind == "index_put":
            made = self.put_back(node, arguments)
            if name.startswith("index_put_."):
                made = self.replace(arguments["self"], made, node)
        elif kind in EACH and op in TABLE and all(self.same(m, first) for m in found) and \
                all(not t.shape for t in tensors_in({k: v for k, v in arguments.items() if not isinstance(v, Masked)})):
            given = {k: v.full if isinstance(v, Masked) else v for k, v in arguments.items()}
            full = self.emit(node, op, given, first.full.shape, node.meta["val"].dtype)
            made = Masked(full, first.mask, first.axis, first.node)
            if name.split(".")[0].endswith("_"):
                arguments["self"].full, made = full, arguments["self"]
        elif name in ("sum.default", "mean.default") and first.full.dtype.is_floating_point and arguments["dtype"] is None:
            zero = Tensor((), torch.float32, value=torch.tensor(0.))
            made = self.emit(node, "aten.where.self", {"condition": self.wide(first, node), "self": first.full, "other": zero}, first.full.shape)
            made = self.emit(node, "aten.sum.default", {"self": made, "dtype": None}, ())
            if kind == "mean":
                count = self.emit(node, "aten.sum.default", {"self": first.mask, "dtype": None}, (), torch.int64)
                rest = math.prod(first.full.shape) // math.prod(first.mask.shape)
                count = self.emit(node, "aten.mul.Tensor", {"self": count, "other": rest}, (), torch.int64)
                made = self.emit(node, "aten.div.Tensor", {"self": made, "other": count}, ())
        else:
            self.refuse("gives a tensor whose size depends on the values of another", first.node, FIXED_SIZE)
        self.env[node] = made
        return True

    def emit(self, node, op, arguments, shape, dtype=torch.float32):
        made = Tensor(shape, dtype, id=self.next_id())
        self.step(op, arguments, [made], node)
        return made

    def as_it_is(self, t, node):
        """A tensor that later changes in place do not reach."""
        self.reference(t, node, self.scope(node))
        return Tensor(t.shape, t.dtype, t.id, t.path, t.value if t.value is None or t.path else t.value.clone(), self.scope(node))

    def same(self, a, b):
        """Whether two choices are by one mask: by the same step, or by one that does the same."""
        def made_by(t):
            return next((s for s in reversed(self.steps) if any(o[0] == t.id for o in s["out"])), None) if t.id else None
        s, t = made_by(a.mask), made_by(b.mask)
        return a.axis == b.axis and (a.mask.id is not None and a.mask.id == b.mask.id or s is not None and t is not None and
                                     (s["op"], s["in"]) == (t["op"], t["in"]))

    def wide(self, m, node):
        """The mask with an axis for each of what it chooses from."""
        shape = [*m.mask.shape, *[1] * (len(m.full.shape) - m.axis - len(m.mask.shape))]
        return m.mask if len(shape) == len(m.mask.shape) else self.emit(node, "aten.view.default", {"self": m.mask, "size": shape}, shape, torch.bool)

    def put_back(self, node, arguments):
        x, values = arguments["self"], arguments["values"]
        given = [(a, i) for a, i in enumerate(arguments["indices"]) if i is not None]
        here = Masked(x, self.as_it_is(given[0][1], node), given[0][0], node) if len(given) == 1 else None
        if not isinstance(values, Masked) or arguments["accumulate"] or here is None or not self.same(here, values) or x.shape != values.full.shape:
            self.refuse("writes elements that another mask has chosen", node, FIXED_SIZE)
        return self.emit(node, "aten.where.self", {"condition": self.wide(values, node), "self": values.full, "other": x}, x.shape, x.dtype)
