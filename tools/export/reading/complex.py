"""Complex numbers: a pair of real tensors each. A Fourier transform is a product with matrices of cosines and sines, axis by axis."""
import math
import re

import torch

from reading.tensor import Pair, Stored, Tensor, tensors_in

PER_PART = set("""view reshape _unsafe_view unsqueeze squeeze slice select narrow permute transpose t mT numpy_T swapaxes swapdims movedim expand
expand_as broadcast_to repeat tile flatten unflatten ravel cat concat concatenate stack clone contiguous detach alias roll flip index index_select sum
mean cumsum add sub rsub neg copy constant_pad_nd pad split split_with_sizes chunk unbind select_scatter slice_scatter diagonal fft_fftshift
fft_ifftshift zero fill where masked_fill view_as reshape_as resolve_conj resolve_neg lift_fresh_copy""".split())  # to both parts alike
NUMBERS = ("self", "other", "src", "tensors", "source", "value")  # their operands that have parts; of others, as masks and indices, both have all
PRODUCTS = ("mul", "matmul", "mm", "bmm", "einsum")
LONGEST = 2048  # numbers of a Fourier transform along an axis
aten = torch.ops.aten


def is_complex(v):
    """Whether a value of torch, or any in a list of them, is complex."""
    if isinstance(v, (list, tuple)):
        return any(is_complex(x) for x in v)
    return isinstance(v, complex) or isinstance(v, torch.dtype) and v.is_complex or isinstance(v, torch.Tensor) and v.dtype.is_complex


def pairs_in(v):
    if isinstance(v, (Pair, Stored)):
        return True
    return any(pairs_in(x) for x in (v.values() if isinstance(v, dict) else v)) if isinstance(v, (list, tuple, dict)) else isinstance(v, complex)


class Complex:
    """Of a Reader, which makes steps (step, next_id, perform) and refuses."""

    def pair_of(self, value, scope=0):
        """A complex tensor of torch: a constant."""
        return Pair(*(Tensor(p.shape, p.dtype, value=p.detach().float().clone(), scope=scope) for p in (value.real, value.imag)))

    def real(self, node, target, *given):
        """One operation more on real tensors, where a node stands."""
        names = [a.name for a in target._schema.arguments]
        arguments = {a.name: a.default_value for a in target._schema.arguments[len(given):]}
        arguments = {**dict(zip(names, given)), **arguments}
        leaves = tensors_in(arguments)
        if all(t.value is not None and not isinstance(t.value, torch.nn.Parameter) for t in leaves):
            def plain(v):
                return [plain(x) for x in v] if isinstance(v, (list, tuple)) else v.value if isinstance(v, Tensor) else v
            value = target(*map(plain, given))
            return Tensor(value.shape, value.dtype, value=value, scope=self.scope(node))
        def empty(v):
            return [empty(x) for x in v] if isinstance(v, (list, tuple)) else torch.empty(v.shape, device="meta") if isinstance(v, Tensor) else v
        made = Tensor(target(*map(empty, given)).shape, torch.float32, id=self.next_id())
        self.step(f"aten.{target._schema.name.split('::')[1]}.{target._overloadname}", arguments, [made], node)
        return made

    def opened(self, v, node):
        """Parameters that are complex as pairs, where they are used."""
        if isinstance(v, Stored):
            return Pair(*(self.real(node, aten.select.int, v.tensor, -1, k) for k in (0, 1)))
        if isinstance(v, (list, tuple)):
            return [self.opened(x, node) for x in v]
        return v

    def part(self, v, k):
        """The real (0) or imaginary (1) part of an operand."""
        if isinstance(v, (list, tuple)):
            return [self.part(x, k) for x in v]
        if isinstance(v, Pair):
            return v.parts[k]
        if isinstance(v, complex):
            return (v.real, v.imag)[k]
        if k == 0 or v is None:
            return v
        return Tensor(v.shape, torch.float32, value=torch.zeros(v.shape)) if isinstance(v, Tensor) else 0

    def part_by_part(self, node, name, arguments, numbers=NUMBERS):
        results = []
        for k in (0, 1):
            self.perform(node, name, {a: self.part(v, k) if a in numbers else v for a, v in arguments.items()})
            results.append(self.env[node])
        return [Pair(*p) for p in zip(*results)] if isinstance(results[0], list) else Pair(*results)

    def complex_call(self, node, name, arguments):
        """An operation that has complex operands or a complex result."""
        for val in node.meta["val"] if isinstance(node.meta["val"], (list, tuple)) else [node.meta["val"]]:
            if is_complex(val) and val.dtype != torch.complex64:
                self.refuse(f"computes in {val.dtype}", node, "compute in torch.complex64")
        arguments = {a: self.opened(v, node) for a, v in arguments.items()}
        kind, first = name.split(".")[0], next(iter(arguments.values()), None)
        in_place = kind.endswith("_")
        kind = kind.rstrip("_") if in_place else kind
        def real(target, *given):
            return self.real(node, target, *given)
        def both(target, x):
            return Pair(*(real(target, p) for p in x.parts))
        if kind in PER_PART:
            return self.part_by_part(node, name, arguments)
        if kind in ("mul", "div", "true_divide") and isinstance(first, Pair) and not isinstance(arguments["other"], (Pair, complex)):
            return self.part_by_part(node, name, arguments, ("self",))
        if in_place:
            self.refuse("changes complex numbers in place", node, "write it without the in-place operation")
        if kind in PRODUCTS:
            return self.product(node, name, arguments)
        if kind in ("div", "true_divide") and isinstance(arguments["other"], Pair):
            d = arguments["other"]
            size = real(aten.add.Tensor, real(aten.square.default, d.re), real(aten.square.default, d.im))
            inverse = Pair(real(aten.div.Tensor, d.re, size), real(aten.neg.default, real(aten.div.Tensor, d.im, size)))
            return self.times(node, first, inverse)
        if kind == "view_as_complex":
            made = Pair(*(real(aten.select.int, first, -1, k) for k in (0, 1)))
            for k, p in enumerate(made.parts):
                p.alias = (first, "select.int", {"self": first, "dim": -1, "index": k})
            return made
        if kind == "view_as_real":
            made = real(aten.stack.default, list(first.parts), -1)
            made.alias = (first.re, "view_as_real.default", {})  # changed in place, it is refused
            return made
        if kind in ("real", "imag"):
            return first.parts[kind == "imag"]
        if kind in ("complex", "polar"):
            a, b = arguments.values()
            if kind == "complex":
                return Pair(real(aten.clone.default, a), real(aten.clone.default, b))
            return Pair(real(aten.mul.Tensor, a, real(aten.cos.default, b)), real(aten.mul.Tensor, a, real(aten.sin.default, b)))
        if kind in ("conj", "_conj", "conj_physical", "_conj_physical"):
            return Pair(first.re, real(aten.neg.default, first.im))
        if kind == "abs":
            return real(aten.linalg_vector_norm.default, real(aten.stack.default, list(first.parts), -1), 2, [-1])
        if kind == "exp":
            size = real(aten.exp.default, first.re)
            return Pair(*(real(aten.mul.Tensor, size, real(f, first.im)) for f in (aten.cos.default, aten.sin.default)))
        if kind in ("to", "_to_copy"):
            if isinstance(first, Pair):
                return first if is_complex(node.meta["val"]) else first.re
            return Pair(first, Tensor(first.shape, torch.float32, value=torch.zeros(first.shape)))
        if re.fullmatch("fft_i?r?fft[2n]?", kind):
            return self.fourier(node, kind, arguments)
        val = node.meta["val"]
        dtype = val.dtype if isinstance(val, torch.Tensor) and val.dtype.is_complex else torch.complex64
        self.refuse(f"has complex numbers ({dtype})", node, "compute it of the real and the imaginary part")

    # ---------------------------------------------------------------- products
    def times(self, node, a, b):
        """a b, of which each may be real."""
        def mul(p, q):
            return self.real(node, aten.mul.Tensor, p, q)
        return self.combined(node, a, b, mul)

    def combined(self, node, a, b, product):
        if not isinstance(b, Pair):
            return Pair(product(a.re, b), product(a.im, b))
        if not isinstance(a, Pair):
            return Pair(product(a, b.re), product(a, b.im))
        return Pair(self.real(node, aten.sub.Tensor, product(a.re, b.re), product(a.im, b.im)),
                    self.real(node, aten.add.Tensor, product(a.re, b.im), product(a.im, b.re)))

    def product(self, node, name, arguments):
        names = [a for a in ("self", "other", "mat2") if a in arguments]
        several = "tensors" in arguments
        if several and len(arguments["tensors"]) == 1:
            return self.part_by_part(node, name, arguments)
        operands = arguments["tensors"] if several else [arguments[a] for a in names]
        operands = [Pair(v.real, v.imag) if isinstance(v, complex) else v for v in operands]
        if len(operands) != 2:
            self.refuse(f"multiplies {len(operands)} complex tensors at once", node, "multiply two at a time")
        def product(p, q):
            self.perform(node, name, {**arguments, **({"tensors": [p, q]} if several else dict(zip(names, (p, q))))})
            return self.env[node]
        return self.combined(node, *operands, product)

    # ---------------------------------------------------------------- Fourier transforms
    def along(self, node, t, axis, matrix):
        """Products of the rows of an axis with a matrix."""
        last = len(t.shape) - 1
        if axis < last and torch.equal(matrix.value, matrix.value.mT):
            flat = self.real(node, aten.reshape.default, t, [*t.shape[:axis + 1], math.prod(t.shape[axis + 1:])])
            return self.real(node, aten.reshape.default, self.real(node, aten.matmul.default, matrix, flat), list(t.shape))
        turned = lambda x: x if axis == last else self.real(node, aten.transpose.int, x, axis, last)
        return turned(self.real(node, aten.matmul.default, turned(t), matrix))

    def waves(self, node, rows, columns, n, factor, weight=lambda k: 1):
        """Cosines and sines of 2 pi row column / n."""
        angle = torch.outer(torch.arange(rows), torch.arange(columns)) % n * (2 * math.pi / n)
        weights = torch.tensor([factor * weight(k) for k in range(rows)], dtype=torch.float64).unsqueeze(1)
        key = (rows, columns, n, tuple(weights.flatten().tolist()), self.scope(node))  # each module has its own
        if key not in self.matrices:
            self.matrices[key] = [Tensor(angle.shape, torch.float32, value=(f(angle.double()) * weights).float(), scope=self.scope(node))
                                  for f in (torch.cos, torch.sin)]
        return self.matrices[key]

    def fourier(self, node, kind, arguments):
        x, sizes, dims, norm = (list(arguments.values()) + [None])[:4]
        rank = len(x.shape)
        one = kind[-1] not in "2n"
        if one:
            dims, sizes = [dims], [sizes]
        elif dims is None:
            dims = list(range(rank - len(sizes), rank)) if sizes is not None else list(range(rank))
        dims = [d % rank for d in dims]
        sizes = [None if s is None or s == -1 else s for s in (sizes or [None] * len(dims))]
        inverse, halved = kind.startswith("fft_i"), "rfft" in kind
        order = list(zip(dims, sizes))
        if halved and not inverse:
            order.insert(0, order.pop())  # the real numbers' axis first
        for i, (d, s) in enumerate(order):
            have = x.shape[d]
            real_axis = halved and i == (len(order) - 1 if inverse else 0)
            n = s or (2 * (have - 1) if real_axis and inverse else have)
            if n > LONGEST:
                self.refuse(f"transforms {n} numbers along an axis", node, f"keep Fourier transforms to {LONGEST} numbers")
            rows = min(have, n // 2 + 1 if real_axis and inverse else n)
            factor = {"ortho": n ** -0.5, "forward": 1 if inverse else 1 / n}.get(norm, 1 / n if inverse else 1)
            parts = [self.real(node, aten.slice.Tensor, p, d, 0, rows, 1) if rows < have else p for p in (x.parts if isinstance(x, Pair) else [x])]
            def product(p, m):
                return self.along(node, p, d, m)
            def plus(a, b, sign):
                return self.real(node, aten.add.Tensor if sign > 0 else aten.sub.Tensor, a, b)
            if real_axis and inverse:  # what lies in the other half is the conjugate of this one
                cos, sin = self.waves(node, rows, n, n, factor, lambda k: 1 if k == 0 or 2 * k == n else 2)
                x = plus(product(parts[0], cos), product(parts[1], sin), -1)
                continue
            cos, sin = self.waves(node, rows, n // 2 + 1 if real_axis else n, n, factor)
            sign = 1 if inverse else -1
            re_, im = product(parts[0], cos), product(parts[0], sin)
            if len(parts) == 1:
                x = Pair(re_, im if inverse else self.real(node, aten.neg.default, im))
            else:
                x = Pair(plus(re_, product(parts[1], sin), -sign), plus(product(parts[1], cos), im, sign))
        return x
