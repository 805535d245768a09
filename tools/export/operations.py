"""What each operation of PyTorch is in C++. A translation takes every argument of the operation and refuses values it does not know, so that
nothing is lost in silence: an argument that nobody took is refused."""
import math
import string

from description import Refused
from expressions import E, axes, binary, call, literal, number, numbers, option, reshape, scalar, shape

TABLE = {}


def translates(*names):
    def add(function):
        for n in names:
            TABLE["aten." + n if "." not in n.split(":")[0] or not n.startswith("volute.") else n] = function
        return function
    return add


class Operand:
    def __init__(self, ref, expression, extents, type):
        self.ref, self.e, self.shape, self.type = ref, expression, list(extents), type

    @property
    def rank(self):
        return len(self.shape)


class Layer:
    """A layer's type, what it is applied to, and the parameters that it names {its name: operand}; `otherwise` is the same without a layer,
    for parameters that stand elsewhere."""

    def __init__(self, type, operand, parameters=None, otherwise=None):
        self.type, self.operand, self.otherwise = type, operand, otherwise
        self.parameters = {k: v for k, v in (parameters or {}).items() if v is not None}


class Operation:
    """One step while it is translated."""

    def __init__(self, step, operand, refuse, name_of_place, place):
        self.step, self._operand, self._refuse, self.name_of_place, self.place = step, operand, refuse, name_of_place, place
        self.op = step["op"]
        self.left = dict(step["in"])
        self.out = step["out"][0][1]
        self.outs = [o[1] for o in step["out"]]
        self.type = step["out"][0][2]

    def refuse(self, what, remedy=""):
        self._refuse(what, self.step, remedy)

    def take(self, name, *expected):
        """An argument; where values are given, any other is refused."""
        value = self.left.pop(name)
        if expected and value not in expected:
            self.refuse(f"{name} = {value} is not supported", f"use {' or '.join(map(str, expected))}")
        return value

    def ignore(self, *names):
        for n in names:
            self.left.pop(n, None)

    def tensor(self, name):
        return self._operand(self.left.pop(name))

    def optional(self, name):
        value = self.left.pop(name)
        return None if value is None else self._operand(value)

    def tensors(self, name):
        return [self._operand(v) for v in self.left.pop(name)]

    def value(self, name):
        """A tensor, or a number as one."""
        value = self.left.pop(name)
        if isinstance(value, str) and value.startswith("%"):
            return self._operand(value)
        return Operand(None, scalar(value), [], "F32")

    def finish(self):
        if self.left:
            self.refuse(f"does not know the argument {next(iter(self.left))}", "report it: the exporter's table lacks this argument")


def axis_of(o, axis, rank):
    if not -rank <= axis < max(rank, 1):
        o.refuse(f"axis {axis} of a tensor of rank {rank}")
    return axis % rank if rank else 0


# ------------------------------------------------------------------ element by element
for f in "relu abs sqrt rsqrt exp expm1 log log1p sin cos tanh erf sigmoid floor reciprocal square silu mish hardswish hardsigmoid relu6 selu".split():
    def unary(o, f=f):
        return simple(o, f)
    translates(f"{f}.default")(unary)


def simple(o, function, arguments="", x=None):
    x = x or o.tensor("self")
    text = function + (f"<{arguments}>" if arguments else "")
    layers = ("relu silu mish hardswish hardsigmoid relu6 selu sigmoid tanh gelu gelu_tanh leaky_relu elu celu hardtanh softplus logsigmoid "
              "hardshrink softshrink threshold").split()
    if function in layers:
        return Layer("nn::" + text, x, otherwise=lambda: call(text, x.e))
    return call(text, x.e)


@translates("neg.default")
def neg(o):
    return E("-" + o.tensor("self").e.within(1), 1)


@translates("sign.default", "sgn.default")
def sign(o):
    return call("sign", o.tensor("self").e)


@translates("log_sigmoid.default")
def log_sigmoid(o):
    return simple(o, "logsigmoid")


@translates("gelu.default")
def gelu(o):
    return simple(o, "gelu" if o.take("approximate", "none", "tanh") == "none" else "gelu_tanh")


@translates("leaky_relu.default")
def leaky_relu(o):
    slope = o.take("negative_slope")
    return simple(o, "leaky_relu", literal(slope))


@translates("elu.default")
def elu(o):
    o.take("scale", 1), o.take("input_scale", 1)
    return simple(o, "elu", literal(o.take("alpha")))


@translates("celu.default")
def celu(o):
    return simple(o, "celu", literal(o.take("alpha")))


@translates("hardtanh.default")
def hardtanh(o):
    return simple(o, "hardtanh", f"{literal(o.take('min_val'))}, {literal(o.take('max_val'))}")


@translates("hardshrink.default", "softshrink.default")
def shrink(o):
    return simple(o, "hardshrink" if "hard" in o.op else "softshrink", literal(o.take("lambd")))


@translates("threshold.default")
def threshold(o):
    return simple(o, "threshold", f"{literal(o.take('threshold'))}, {literal(o.take('value'))}")


@translates("softplus.default")
def softplus(o):
    o.take("beta", 1), o.take("threshold", 20)  # beyond 20 log(1 + e^x) is x in float
    return simple(o, "softplus")


@translates("prelu.default")
def prelu(o):
    x, w = o.tensor("self"), o.tensor("weight")
    n = math.prod(w.shape)
    return Layer(f"nn::prelu<{number(n, 'channels')}>" if n != 1 else "nn::prelu<>", x, {"weight": w}, lambda: call("prelu", x.e, w.e))


@translates("glu.default")
def glu(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    return Layer(f"nn::glu<{axis}>", x, otherwise=lambda: call("glu", x.e, f"axis<{axis}>"))


def scaled(o, e, alpha):
    return e if alpha == 1 else E(f"{e.within(2)} * {scalar(alpha).text}", 2)


@translates("add.Tensor", "add.Scalar")
def add(o):
    a, b = o.value("self"), o.value("other")
    return binary("+", a.e, scaled(o, b.e, o.take("alpha")))


@translates("sub.Tensor", "sub.Scalar")
def sub(o):
    a, b = o.value("self"), o.value("other")
    return binary("-", a.e, scaled(o, b.e, o.take("alpha")))


@translates("rsub.Scalar", "rsub.Tensor")
def rsub(o):
    a, b = o.value("self"), o.value("other")
    return binary("-", b.e, scaled(o, a.e, o.take("alpha")))


@translates("mul.Tensor", "mul.Scalar")
def mul(o):
    return binary("*", o.value("self").e, o.value("other").e)


@translates("div.Tensor", "div.Scalar", "true_divide.Tensor")
def div(o):
    a, b = o.value("self"), o.value("other")
    return binary("/", a.e, b.e)


@translates("div.Tensor_mode")
def div_mode(o):
    a, b = o.value("self"), o.value("other")
    mode = o.take("rounding_mode", None, "floor")
    return call("floor", binary("/", a.e, b.e)) if mode else binary("/", a.e, b.e)


@translates("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def power(o):
    a = o.value("self")
    b = o.value("exponent")
    if b.ref is None and b.e.text == "2_c":
        return call("square", a.e)
    return call("power", a.e, b.e)


@translates("maximum.default", "minimum.default", "max.other", "min.other")
def extreme(o):
    return call("maximum" if "max" in o.op else "minimum", o.tensor("self").e, o.tensor("other").e)


for f, sign_ in {"lt": "<", "gt": ">", "le": "<=", "ge": ">="}.items():
    def compare(o, sign_=sign_):
        return E(f"({binary(sign_, o.value('self').e, o.value('other').e).text})")
    translates(f"{f}.Tensor", f"{f}.Scalar")(compare)


@translates("eq.Tensor", "eq.Scalar")
def eq(o):
    return call("equal", o.value("self").e, o.value("other").e)


@translates("ne.Tensor", "ne.Scalar")
def ne(o):
    return binary("-", E("1_c"), call("equal", o.value("self").e, o.value("other").e))


@translates("logical_not.default", "bitwise_not.default")
def logical_not(o):
    x = o.tensor("self")
    if "bitwise" in o.op and x.type != "BOOL":
        o.refuse("inverts the bits of whole numbers")
    return call("equal", x.e, E("0_c"))


@translates("logical_and.default", "bitwise_and.Tensor", "logical_or.default", "bitwise_or.Tensor")
def logical(o):
    a, b = o.tensor("self"), o.tensor("other")
    if a.type != "BOOL" or b.type != "BOOL":
        o.refuse("combines whole numbers bit by bit")
    return binary("*", a.e, b.e) if "_and" in o.op else call("maximum", a.e, b.e)


@translates("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(o):
    c = o.tensor("condition")
    a, b = o.value("self"), o.value("other")
    return call("select", c.e, a.e, b.e)


@translates("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(o):
    x, mask, v = o.tensor("self"), o.tensor("mask"), o.value("value")
    return call("select", mask.e, v.e, x.e)


@translates("clamp.default", "clamp_min.default", "clamp_max.default")
def clamp(o):
    x = o.tensor("self")
    low = o.take("min") if "min" in o.left else None
    high = o.take("max") if "max" in o.left else None
    if high is None:
        return call("at_least", x.e, scalar(low))
    return call("clamp", x.e, scalar(-math.inf if low is None else low), scalar(high))


# ------------------------------------------------------------------ types and copies
@translates("clone.default", "contiguous.default", "detach.default", "alias.default", "lift_fresh_copy.default", "lift_fresh.default",
            "resolve_conj.default", "view_as.default")
def same(o):
    o.ignore("memory_format", "other")
    return o.tensor("self").e


WHOLE = ("I64", "I32", "I16", "I8", "U8", "BOOL")


@translates("to.dtype", "to.device", "to.other", "to.dtype_layout", "_to_copy.default", "type_as.default", "to.prim_dtype")
def cast(o):
    x = o.tensor("self")
    o.ignore("dtype", "copy", "other", "pin_memory", "device")
    if o.type == "BOOL" and x.type != "BOOL":
        return binary("-", E("1_c"), call("equal", x.e, E("0_c")))
    if o.type in WHOLE and x.type not in WHOLE:
        o.refuse("makes whole numbers of real ones", "round explicitly, with torch.floor")
    return x.e


@translates("copy.default")
def copy(o):
    x, src = o.tensor("self"), o.tensor("src")
    o.ignore("non_blocking")
    return src.e if src.shape == x.shape else call("broadcast_to", src.e, shape(x.shape))


@translates("fill.Scalar", "zero.default", "zeros_like.default", "ones_like.default", "full_like.default", "new_zeros.default", "new_ones.default")
def fill(o):
    v = o.take("value") if "value" in o.left else o.take("fill_value") if "fill_value" in o.left else 1 if "ones" in o.op else 0
    o.ignore("self", "dtype", "size", "pin_memory")
    return E(f"constant<{scalar(v).text.removesuffix('_c') if v >= 0 else literal(v)}, {', '.join(number(e, 'extent') for e in o.out)}>")


# ------------------------------------------------------------------ shapes
@translates("view.default", "reshape.default", "_unsafe_view.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default",
            "unflatten.int", "flatten.using_ints", "view.dtype", "_reshape_alias.default", "ravel.default", "reshape_as.default")
def reshaped(o):
    x = o.tensor("self")
    o.ignore("size", "shape", "dim", "sizes", "stride", "other")
    if o.op == "aten.view.dtype":
        o.refuse("reads the bits of numbers as another type")
    if "flatten.using" in o.op:
        start, end = o.take("start_dim"), o.take("end_dim")
        if start == 1 and end in (-1, x.rank - 1) and x.rank > 2:
            return Layer("nn::flatten", x, otherwise=lambda: call("flatten", x.e))
    if x.e.text.startswith("flatten(") and len(o.out) == 2:
        pass
    return reshape(x.e, o.out, x.shape)


def permuted(x, order):
    if list(order) == list(range(len(order))):
        return x.e
    return call("transpose", x.e, axes(order))


@translates("permute.default")
def permute(o):
    x = o.tensor("self")
    return permuted(x, [axis_of(o, a, x.rank) for a in o.take("dims")])


@translates("transpose.int", "swapaxes.default", "swapdims.default")
def transpose(o):
    x = o.tensor("self")
    a, b = (axis_of(o, o.take(n0 if n0 in o.left else n1), x.rank) for n0, n1 in (("dim0", "axis0"), ("dim1", "axis1")))
    order = list(range(x.rank))
    order[a], order[b] = b, a
    return permuted(x, order)


@translates("t.default", "numpy_T.default", "mT.default")
def turned(o):
    x = o.tensor("self")
    order = list(range(x.rank))
    if "numpy" in o.op:
        order.reverse()
    elif x.rank > 1:
        order[-1], order[-2] = order[-2], order[-1]
    return permuted(x, order)


@translates("movedim.int", "movedim.intlist")
def movedim(o):
    x = o.tensor("self")
    source, target = o.take("source"), o.take("destination")
    source = [axis_of(o, a, x.rank) for a in (source if isinstance(source, list) else [source])]
    target = [axis_of(o, a, x.rank) for a in (target if isinstance(target, list) else [target])]
    order = [a for a in range(x.rank) if a not in source]
    for t, s in sorted(zip(target, source)):
        order.insert(t, s)
    return permuted(x, order)


def part(x, axis, start, stop, step=1):
    if start == 0 and stop == x.shape[axis] and step == 1:
        return x.e
    return call("slice", x.e, f"axis<{axis}>", f"range<{number(start, 'start')}, {number(stop, 'stop')}{f', {step}' if step != 1 else ''}>")


@translates("slice.Tensor")
def slice_(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    n = x.shape[axis]
    start, stop, step = o.take("start"), o.take("end"), o.take("step")
    start, stop, step = slice(start, stop, step).indices(n)
    return part(x, axis, start, max(start, stop), step)


@translates("narrow.default")
def narrow(o):
    x = o.tensor("self")
    axis, start, length = axis_of(o, o.take("dim"), x.rank), o.take("start"), o.take("length")
    start += x.shape[axis] if start < 0 else 0
    return part(x, axis, start, start + length)


def selected(o, x, axis, i):
    i += x.shape[axis] if i < 0 else 0
    rest = [e for a, e in enumerate(x.shape) if a != axis]
    return reshape(part(x, axis, i, i + 1), rest, [e if a != axis else 1 for a, e in enumerate(x.shape)])


@translates("select.int")
def select(o):
    x = o.tensor("self")
    return selected(o, x, axis_of(o, o.take("dim"), x.rank), o.take("index"))


@translates("unbind.int")
def unbind(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    return [selected(o, x, axis, i) for i in range(x.shape[axis])]


@translates("split.Tensor", "split_with_sizes.default", "split.sizes", "chunk.default", "unsafe_chunk.default", "unsafe_split.Tensor",
            "tensor_split.sections", "tensor_split.indices", "split.default")
def split(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    o.ignore("split_size", "split_sizes", "chunks", "sections", "indices")  # the results have these sizes
    parts, at = [], 0
    for extents in o.outs:
        parts.append(part(x, axis, at, at + extents[axis]))
        at += extents[axis]
    if at != x.shape[axis]:
        o.refuse("parts of it overlap or are missing")
    return parts


@translates("cat.default", "concat.default", "concatenate.default")
def cat(o):
    parts = [t for t in o.tensors("tensors") if t.shape != [0]]
    axis = axis_of(o, o.take("dim"), len(o.out))
    return parts[0].e if len(parts) == 1 else call("concat", f"axis<{axis}>", *(p.e for p in parts))


@translates("stack.default")
def stack(o):
    axis = axis_of(o, o.take("dim"), len(o.out))
    column = [e if a != axis else 1 for a, e in enumerate(o.out)]
    return call("concat", f"axis<{axis}>", *(reshape(p.e, column, p.shape) for p in o.tensors("tensors")))


@translates("select_scatter.default", "slice_scatter.default")
def scatter(o):
    x, src = o.tensor("self"), o.tensor("src")
    axis = axis_of(o, o.take("dim"), x.rank)
    n = x.shape[axis]
    if "select" in o.op:
        start = o.take("index") % n
        stop = start + 1
        new = reshape(src.e, [e if a != axis else 1 for a, e in enumerate(x.shape)], src.shape)
    else:
        start, stop, step = slice(o.take("start"), o.take("end"), o.take("step")).indices(n)
        if step != 1:
            o.refuse("writes every other slice of an axis")
        if stop <= start:
            return x.e
        new = src.e
    before = [part(x, axis, 0, start)] if start > 0 else []
    behind = [part(x, axis, stop, n)] if stop < n else []
    return call("concat", f"axis<{axis}>", *before, new, *behind) if before or behind else new


@translates("broadcast_tensors.default")
def broadcast_tensors(o):
    return [t.e if t.shape == e else call("broadcast_to", t.e, shape(e)) for t, e in zip(o.tensors("tensors"), o.outs)]


@translates("mse_loss.default")
def mse_loss(o):
    a, b = o.tensor("self"), o.tensor("target")
    o.take("reduction", 1)
    return call("mse", a.e, b.e)


@translates("expand.default", "expand_as.default", "broadcast_to.default")
def expand(o):
    x = o.tensor("self")
    o.ignore("size", "implicit", "other")
    return x.e if x.shape == o.out else call("broadcast_to", x.e, shape(o.out))


@translates("repeat.default", "tile.default")
def repeat(o):
    x = o.tensor("self")
    times = list(o.take("repeats" if "repeats" in o.left else "dims"))
    times = [1] * (x.rank - len(times)) + times
    own = [1] * (len(times) - x.rank) + x.shape
    if all(t == 1 for t in times):
        return reshape(x.e, o.out, x.shape)
    if all(t == 1 or e == 1 for t, e in zip(times, own)):
        return call("broadcast_to", x.e, shape(o.out))
    between = [v for t, e in zip(times, own) for v in ([1, e] if t > 1 else [e])]
    wide = [v for t, e in zip(times, own) for v in ([t, e] if t > 1 else [e])]
    return reshape(call("broadcast_to", reshape(x.e, between, x.shape), shape(wide)), o.out, wide)


@translates("repeat_interleave.self_int")
def repeat_interleave(o):
    x, times, axis = o.tensor("self"), o.take("repeats"), o.take("dim")
    o.ignore("output_size")
    if axis is None:
        o.refuse("repeats elements of a tensor without an axis", "give dim")
    axis = axis_of(o, axis, x.rank)
    between = x.shape[:axis + 1] + [1] + x.shape[axis + 1:]
    wide = x.shape[:axis + 1] + [times] + x.shape[axis + 1:]
    return reshape(call("broadcast_to", reshape(x.e, between, x.shape), shape(wide)), o.out, wide)


@translates("flip.default")
def flip(o):
    x = o.tensor("self")
    e = x.e
    for a in o.take("dims"):
        a = axis_of(o, a, x.rank)
        e = call("take", e, f"axis<{a}>", f"constant<{x.shape[a] - 1}> - arange<{x.shape[a]}>")
    return e


@translates("roll.default")
def roll(o):
    x, shifts, dims = o.tensor("self"), o.take("shifts"), o.take("dims")
    if len(dims) != len(shifts):
        o.refuse("rolls a tensor without axes", "give dims")
    e = x.e
    for s, a in zip(shifts, dims):
        if s == 0:
            continue
        e = call(f"roll<{s}>", e, f"axis<{axis_of(o, a, x.rank)}>")
    return e


# ------------------------------------------------------------------ sums
def over(o, name="dim", rank=None):
    dims = o.take(name)
    if dims is None or dims == []:
        return None
    return sorted(axis_of(o, a, rank) for a in (dims if isinstance(dims, list) else [dims]))


def reduced(o, function, x, dims, keep):
    if x.rank == 0:
        return x.e
    if dims is None and keep:
        dims = list(range(x.rank))
    return call(function, x.e, *([axes(dims)] if dims is not None else []), *(["keepdims"] if keep else []))


@translates("mean.default", "sum.default", "mean.dim", "sum.dim_IntList", "amax.default", "max.default")
def reduction(o):
    x = o.tensor("self")
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    if "dtype" in o.left:
        o.take("dtype", None, o.type)
    return reduced(o, {"mean": "mean", "sum": "sum", "amax": "maximum", "max": "maximum"}[o.op.split(".")[1]], x, dims, keep)


@translates("amin.default", "min.default")
def amin(o):
    x = o.tensor("self")
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    negated = Operand(None, E("-" + x.e.within(1), 1), x.shape, x.type)
    return E("-" + reduced(o, "maximum", negated, dims, keep).text, 1)


@translates("max.dim")
def max_dim(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    keep = o.take("keepdim")
    return [reduced(o, "maximum", x, [axis], keep), argmaximum(o, x, axis, keep)]


def argmaximum(o, x, axis, keep):
    e = call("argmax", x.e, f"axis<{axis}>")
    return reshape(e, [1 if a == axis else n for a, n in enumerate(x.shape)], [n for a, n in enumerate(x.shape) if a != axis]) if keep else e


@translates("argmax.default")
def argmax(o):
    x = o.tensor("self")
    axis = o.take("dim")
    if axis is None:
        o.refuse("argmax over all axes", "give dim")
    return argmaximum(o, x, axis_of(o, axis, x.rank), o.take("keepdim"))


@translates("var.correction", "var.dim", "std.correction", "std.dim")
def var(o):
    x = o.tensor("self")
    dims = over(o, rank=x.rank) or list(range(x.rank))
    keep = o.take("keepdim")
    n = math.prod(x.shape[a] for a in dims)
    c = o.take("correction") if "correction" in o.left else int(o.take("unbiased"))
    c = 1 if c is None else c
    centred = binary("-", x.e, reduced(o, "mean", x, dims, True))
    v = reduced(o, "mean", Operand(None, call("square", centred), x.shape, x.type), dims, keep)
    v = v if c == 0 else binary("*", v, scalar(n / (n - c)))
    return v if "var" in o.op else call("sqrt", v)


@translates("linalg_vector_norm.default", "norm.ScalarOpt_dim", "norm.Scalar")
def norm(o):
    x = o.tensor("self")
    o.take("ord" if "ord" in o.left else "p", 2, 2.0, None)
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    o.ignore("dtype")
    return reduced(o, "norm", x, dims, keep)


@translates("softmax.int", "log_softmax.int", "_softmax.default", "_log_softmax.default")
def softmax(o):
    x = o.tensor("self")
    o.ignore("half_to_float")
    if "dtype" in o.left:
        o.take("dtype", None, "F32")
    axis = axis_of(o, o.take("dim"), x.rank)
    f = "log_softmax" if "log" in o.op else "softmax"
    return Layer(f"nn::{f}<{axis}>", x, otherwise=lambda: call(f, x.e, f"axis<{axis}>"))


# ------------------------------------------------------------------ products
@translates("linear.default")
def linear(o):
    x, w, b = o.tensor("input"), o.tensor("weight"), o.optional("bias")
    if len(w.shape) != 2:
        o.refuse("linear with a weight that is no matrix")
    type = f"nn::linear<{number(w.shape[1], 'in')}, {number(w.shape[0], 'out')}{'' if b else ', nn::no_bias'}>"
    return Layer(type, x, {"weight": w, "bias": b}, lambda: call("linear", x.e, w.e, *([b.e] if b else [])))


@translates("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default")
def matmul(o):
    names = [n for n in ("self", "other", "mat2", "vec", "tensor") if n in o.left]
    a, b = (o.tensor(n) for n in names)
    return call("matmul", a.e, b.e)


@translates("addmm.default", "baddbmm.default")
def addmm(o):
    b = o.tensor("self")
    names = ("mat1", "mat2") if "mat1" in o.left else ("batch1", "batch2")
    x, y = (o.tensor(n) for n in names)
    return binary("+", scaled(o, call("matmul", x.e, y.e), o.take("alpha")), scaled(o, b.e, o.take("beta")))


@translates("einsum.default")
def einsum(o):
    equation, parts = o.take("equation").replace(" ", ""), o.tensors("tensors")
    o.ignore("path")
    if "." in equation or "->" not in equation or len(parts) != 2:
        o.refuse(f"einsum '{equation}' of {len(parts)} tensors", "write it as torch.matmul")
    left, right = equation.split("->")
    a, b = left.split(",")
    if any(len(set(s)) != len(s) for s in (a, b, right)):
        o.refuse(f"einsum '{equation}' takes a diagonal")
    size = {**dict(zip(a, parts[0].shape)), **dict(zip(b, parts[1].shape))}
    for s, p in ((a, parts[0]), (b, parts[1])):
        if any(size[c] != e for c, e in zip(s, p.shape)):
            o.refuse(f"einsum '{equation}' broadcasts an extent of 1")
    def lonely(s, other, p):  # what only one operand has and the result lacks is summed first
        gone = [i for i, c in enumerate(s) if c not in other and c not in right]
        if not gone:
            return s, p
        kept = "".join(c for c in s if c in other or c in right)
        return kept, Operand(None, call("sum", p.e, axes(gone)), [size[c] for c in kept], p.type)
    a, p = lonely(a, b, parts[0])
    b, q = lonely(b, a, parts[1])
    batch = [c for c in right if c in a and c in b]
    rows, columns = [c for c in right if c in a and c not in b], [c for c in right if c in b and c not in a]
    summed = [c for c in a if c in b and c not in right]
    extent = lambda cs: math.prod(size[c] for c in cs)
    def arranged(s, x, order, extents):
        e = permuted(x, [s.index(c) for c in order])
        return reshape(e, extents, [size[c] for c in order])
    x = arranged(a, p, batch + rows + summed, [extent(batch), extent(rows), extent(summed)] if batch else [extent(rows), extent(summed)])
    y = arranged(b, q, batch + summed + columns, [extent(batch), extent(summed), extent(columns)] if batch else [extent(summed), extent(columns)])
    got = batch + rows + columns
    known = [extent(batch), extent(rows), extent(columns)] if batch else [extent(rows), extent(columns)]
    z = reshape(call("matmul", x, y), [size[c] for c in got], known)
    return permuted(Operand(None, z, [size[c] for c in got], "F32"), [got.index(c) for c in right])


@translates("scaled_dot_product_attention.default")
def attention(o):
    q, k, v = (o.tensor(n) for n in ("query", "key", "value"))
    mask = o.optional("attn_mask")
    o.take("enable_gqa", False)
    p = o.take("dropout_p", 0, 0.0)
    causal, scale = o.take("is_causal"), o.take("scale")
    return attention_formula(o, q, k, v, mask, causal, 1 / math.sqrt(q.shape[-1]) if scale is None else scale)


def attention_formula(o, q, k, v, mask, causal, scale):
    """softmax(q k^T scale + mask) v: the one place that says how attention is computed."""
    order = list(range(k.rank))
    order[-1], order[-2] = order[-2], order[-1]
    scores = binary("*", call("matmul", q.e, call("transpose", k.e, axes(order))), scalar(scale))
    if mask is not None and mask.type == "BOOL":
        scores = call("select", mask.e, scores, scalar(-math.inf))
    elif mask is not None:
        scores = binary("+", scores, mask.e)
    if causal:
        n, m = q.shape[-2], k.shape[-2]
        later = f"(reshape(arange<{n}>, shape<{n}, 1>) < arange<{m}>)"
        scores = call("select", E(later), scalar(-math.inf), scores)
    return call("matmul", call("softmax", scores, f"axis<{q.rank - 1}>"), v.e)


# ------------------------------------------------------------------ convolutions
def each(value, n):
    value = value if isinstance(value, list) else [value]
    return value * n if len(value) == 1 else value


def volume(x, n):
    """x of n spatial axes as a volume."""
    extents = x.shape[:2] + [1] * (3 - n) + x.shape[2:]
    return reshape(x.e, extents, x.shape), extents


def spatial(values, n, rest):
    return [rest] * (3 - n) + list(values)


def options(prefix, stride, padding, dilation, groups, output_padding=None):
    parts = [option(f", {prefix}stride<{numbers(stride, 'stride', 1)}>"), option(f", {prefix}padding<{numbers(padding, 'padding', 0)}>")]
    if output_padding is not None:
        parts.append(option(f", {prefix}output_padding<{numbers(output_padding, 'padding', 0)}>"))
    parts += [option(f", {prefix}dilation<{numbers(dilation, 'dilation', 1)}>"), option(f", {prefix}groups<{number(groups, 'groups', 1)}>")]
    return "".join(parts)


@translates("conv1d.default", "conv2d.default", "conv3d.default", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def convolution(o):
    n = int(o.op.split("conv")[1][0])
    x, w, b = o.tensor("input"), o.tensor("weight"), o.optional("bias")
    stride, dilation, groups = each(o.take("stride"), n), each(o.take("dilation"), n), o.take("groups")
    padding = o.take("padding")
    kernel = w.shape[2:]
    if x.rank != n + 2:
        o.refuse("convolves a tensor without a batch axis", "add one with unsqueeze(0)")
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        if any(t % 2 for t in total):
            o.refuse("padding 'same' of an even kernel", "pad explicitly")
        padding = [t // 2 for t in total]
    padding = each(padding, n)
    outputs, inputs = w.shape[0], w.shape[1] * groups
    type = (f"nn::conv{n}d<{number(inputs, 'in')}, {number(outputs, 'out')}, nn::kernel<{numbers(kernel, 'kernel')}>"
            f"{options('nn::', stride, padding, dilation, groups)}{'' if b else ', nn::no_bias'}>")
    def otherwise():
        v, extents = volume(x, n)
        bank = reshape(w.e, w.shape[:2] + spatial(kernel, n, 1), w.shape)
        text = options("", spatial(stride, n, 1), spatial(padding, n, 0), spatial(dilation, n, 1), groups)
        y = E(f"conv3d({v.text}, {bank.text}{', ' + b.e.text if b else ''}{text})")
        return reshape(y, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


@translates("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(o):
    n = int(o.op.split("transpose")[1][0])
    x, w, b = o.tensor("input"), o.tensor("weight"), o.optional("bias")
    stride, dilation, groups = each(o.take("stride"), n), each(o.take("dilation"), n), o.take("groups")
    padding, more = each(o.take("padding"), n), each(o.take("output_padding"), n)
    kernel = w.shape[2:]
    if x.rank != n + 2:
        o.refuse("convolves a tensor without a batch axis", "add one with unsqueeze(0)")
    def otherwise():
        v, extents = volume(x, n)
        bank = reshape(w.e, w.shape[:2] + spatial(kernel, n, 1), w.shape)
        text = options("", spatial(stride, n, 1), spatial(padding, n, 0), spatial(dilation, n, 1), groups, spatial(more, n, 0))
        y = E(f"conv_transpose3d({v.text}, {bank.text}{', ' + b.e.text if b else ''}{text})")
        return reshape(y, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    if n < 3:
        return otherwise()
    type = (f"nn::conv_transpose3d<{number(w.shape[0], 'in')}, {number(w.shape[1] * groups, 'out')}, nn::kernel<{numbers(kernel, 'kernel')}>"
            f"{options('nn::', stride, padding, dilation, groups, more)}{'' if b else ', nn::no_bias'}>")
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


# ------------------------------------------------------------------ normalisations
def eps_option(value, usual=1e-5):
    return "" if value == usual else f", nn::eps<{value!r}>"


def affinely(e, w, b, view):
    """e * w + b with w and b seen as `view`."""
    if w is not None:
        e = binary("*", e, reshape(w.e, view, w.shape))
    return e if b is None else binary("+", e, reshape(b.e, view, b.shape))


@translates("batch_norm.default")
def batch_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    mean, variance = o.optional("running_mean"), o.optional("running_var")
    eps, momentum = o.take("eps"), o.take("momentum")
    o.ignore("cudnn_enabled")
    c, n = x.shape[1], x.rank - 2
    view = [c] + [1] * n
    if o.take("training"):
        if mean is not None:
            o.refuse("batch norm in training mode that keeps running statistics", "export in inference: net.eval()")
        over_ = [0, *range(2, x.rank)]
        centred = E(f"({x.e.within(2)} - mean({x.e.text}, {axes(over_)}, keepdims))")
        v = call("mean", call("square", centred), axes(over_), "keepdims")
        return affinely(binary("*", centred, call("rsqrt", binary("+", v, scalar(eps)))), w, b, view)
    if (w is None) != (b is None) or mean is None:
        o.refuse("batch norm with a weight and no bias")
    def otherwise():
        scale = call("rsqrt", binary("+", reshape(variance.e, view, variance.shape), scalar(eps)))
        return affinely(E(f"({x.e.within(2)} - {reshape(mean.e, view, mean.shape).text}) * {scale.text}", 2), w, b, view)
    if n not in (1, 2, 3):
        return otherwise()
    extra = eps_option(eps) + ("" if momentum == 0.1 else f", nn::momentum<{momentum!r}>") + ("" if w else ", nn::affine<false>")
    return Layer(f"nn::batch_norm{n}d<{number(c, 'channels')}{extra}>", x,
                 {"weight": w, "bias": b, "running_mean": mean, "running_var": variance}, otherwise)


@translates("instance_norm.default")
def instance_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    mean, variance = o.optional("running_mean"), o.optional("running_var")
    eps = o.take("eps")
    o.ignore("cudnn_enabled", "momentum")
    c, n = x.shape[1], x.rank - 2
    view = [c] + [1] * n
    if not o.take("use_input_stats"):
        scale = call("rsqrt", binary("+", reshape(variance.e, view, variance.shape), scalar(eps)))
        return affinely(E(f"({x.e.within(2)} - {reshape(mean.e, view, mean.shape).text}) * {scale.text}", 2), w, b, view)
    if mean is not None:
        o.refuse("instance norm that keeps running statistics", "export in inference: net.eval()")
    if w is not None and b is None:
        o.refuse("instance norm with a weight and no bias")
    base = f"nn::instance_norm3d<{number(c, 'channels')}" if n == 3 else f"nn::group_norm<{number(c, 'channels')}, {number(c, 'channels')}"
    plain = base + eps_option(eps) + ("" if n == 3 else ", nn::affine<false>") + ">"
    def otherwise():
        return affinely(E(f"{plain}{{}}({x.e.text})"), w, b, view)
    type = base + eps_option(eps) + (", nn::affine<true>" if n == 3 else "") + ">" if w else plain
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


@translates("group_norm.default")
def group_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    groups, eps = o.take("num_groups"), o.take("eps")
    o.ignore("cudnn_enabled")
    base = f"nn::group_norm<{number(groups, 'groups')}, {number(x.shape[1], 'channels')}{eps_option(eps)}"
    def otherwise():
        return affinely(E(f"{base}, nn::affine<false>>{{}}({x.e.text})"), w, b, [x.shape[1]] + [1] * (x.rank - 2))
    if w is not None and b is not None:
        return Layer(base + ">", x, {"weight": w, "bias": b}, otherwise)
    return otherwise() if w is not None else Layer(base + ", nn::affine<false>>", x)


@translates("layer_norm.default")
def layer_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    last, eps = o.take("normalized_shape"), o.take("eps")
    o.ignore("cudnn_enable")
    base = f"nn::layer_norm<{number(last[0], 'channels') if len(last) == 1 else shape(last)}{eps_option(eps)}"
    def otherwise():
        e = E(f"{base}, nn::affine<false>>{{}}({x.e.text})")
        e = binary("*", e, w.e) if w is not None else e
        return binary("+", e, b.e) if b is not None else e
    if w is not None and b is not None:
        return Layer(base + ">", x, {"weight": w, "bias": b}, otherwise)
    return otherwise() if w is not None else Layer(base + ", nn::affine<false>>", x)


@translates("rms_norm.default")
def rms_norm(o):
    x, w = o.tensor("input"), o.optional("weight")
    last, eps = o.take("normalized_shape"), o.take("eps")
    eps = 2.0 ** -23 if eps is None else eps
    base = f"nn::rms_norm<{number(last[0], 'channels') if len(last) == 1 else shape(last)}{eps_option(eps, 2.0 ** -23)}"
    plain = f"{base}, nn::affine<false>>"
    if w is None:
        return Layer(plain, x)
    return Layer(base + ">", x, {"weight": w}, lambda: binary("*", E(f"{plain}{{}}({x.e.text})"), w.e))


@translates("dropout.default", "feature_dropout.default", "native_dropout.default")
def dropout(o):
    x, p = o.tensor("input" if "input" in o.left else "self"), o.take("p")
    o.take("train", False)
    if p == 0:
        return x.e
    kind = "dropout"
    if o.name_of_place in ("DropPath", "StochasticDepth"):
        kind = "drop_path"
    elif "feature" in o.op:
        kind = "dropout3d"
        if x.rank != 5:
            return x.e
    return Layer(f"nn::{kind}<{literal(p)}>", x)


@translates("alpha_dropout.default", "feature_alpha_dropout.default")
def alpha_dropout(o):
    o.take("train", False), o.ignore("p")
    return o.tensor("input" if "input" in o.left else "self").e


# ------------------------------------------------------------------ pools, sizes, borders
def pooled(o, n, x, kernel, stride, padding, dilation, extra_layer, extra):
    function = ("max" if "max" in o.op else "avg") + "_pool3d"
    stride = each(stride, n) if stride else list(kernel)
    def text(prefix, wide):
        k, s, p, d = (spatial(v, n, r) if wide else v for v, r in ((kernel, 1), (stride, 1), (padding, 0), (dilation, 1)))
        parts = "" if s == k else f", {prefix}stride<{numbers(s, 'stride')}>"
        parts += option(f", {prefix}padding<{numbers(p, 'padding', 0)}>")
        return parts + (option(f", {prefix}dilation<{numbers(d, 'dilation', 1)}>") if "max" in o.op else "")
    def otherwise():
        v, extents = volume(x, n)
        e = E(f"{function}({v.text}, kernel<{numbers(spatial(kernel, n, 1), 'kernel')}>{text('', True)}{extra('')})")
        return reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    square = all(k == kernel[0] for k in kernel)
    if n < 3 and not square:
        return otherwise()
    base = f"nn::{function[:-2]}{n}d<" + (number(kernel[0], "kernel") if square else f"0, nn::kernel<{numbers(kernel, 'kernel')}>")
    return Layer(base + text("nn::", False) + extra("nn::") + ">", x, otherwise=otherwise)


@translates("max_pool1d.default", "max_pool2d.default", "max_pool3d.default", "max_pool3d_with_indices.default", "max_pool2d_with_indices.default")
def max_pool(o):
    n = int(o.op.split("pool")[1][0])
    x, kernel, stride = o.tensor("self"), each(o.take("kernel_size"), n), o.take("stride")
    padding, dilation, ceil = each(o.take("padding"), n), each(o.take("dilation"), n), o.take("ceil_mode")
    if x.rank != n + 2:
        o.refuse("pools a tensor without a batch axis", "add one with unsqueeze(0)")
    result = pooled(o, n, x, kernel, stride, padding, dilation, None, lambda prefix: f", {prefix}ceil_mode" if ceil else "")
    return [result, None] if len(o.outs) == 2 else result


@translates("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
def avg_pool(o):
    n = int(o.op.split("pool")[1][0])
    x, kernel, stride = o.tensor("self"), each(o.take("kernel_size"), n), o.take("stride")
    padding, ceil, inside = each(o.take("padding"), n), o.take("ceil_mode"), o.take("count_include_pad")
    divisor = o.take("divisor_override") if "divisor_override" in o.left else None
    if x.rank != n + 2:
        o.refuse("pools a tensor without a batch axis", "add one with unsqueeze(0)")
    def extra(prefix):
        return ((f", {prefix}ceil_mode" if ceil else "") + (f", {prefix}count_include_pad<false>" if not inside and any(padding) else "") +
                (f", {prefix}divisor<{divisor}>" if divisor else ""))
    return pooled(o, n, x, kernel, stride, padding, [1] * n, None, extra)


@translates("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool3d.default", "adaptive_max_pool1d.default",
            "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_pool(o):
    kind = "max" if "max" in o.op else "avg"
    n = int(o.op.split("pool")[1][0])
    x, size = o.tensor("self"), each(o.take("output_size"), n)
    size = [e if s is None else s for s, e in zip(size, x.shape[2:])]
    def otherwise():
        v, extents = volume(x, n)
        e = E(f"adaptive_{kind}_pool3d({v.text}, output_size<{numbers(spatial(size, n, 1), 'extent')}>)")
        return reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    result = Layer(f"nn::adaptive_{kind}_pool3d<{numbers(size, 'extent')}>", x, otherwise=otherwise) if n == 3 else otherwise()
    return [result, None] if len(o.outs) == 2 else result


@translates(*(f"upsample_{m}.{v}" for m in ("nearest1d", "nearest2d", "nearest3d", "_nearest_exact", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
              for v in ("vec", "default")), *(f"_upsample_nearest_exact{n}d.{v}" for n in (1, 2, 3) for v in ("vec", "default")))
def upsample(o):
    name = o.op.split(".")[1]
    n = int(name[-2])
    x = o.tensor("input" if "input" in o.left else "self")
    size = o.take("output_size")
    factors = o.take("scale_factors") if "scale_factors" in o.left else [o.left.pop(k) for k in ("scales_d", "scales_h", "scales_w", "scales") if k in o.left]
    corners = o.take("align_corners") if "align_corners" in o.left else False
    mode = "cubic" if "cubic" in name else "trilinear" if "linear" in name else "nearest_exact" if "exact" in name else "nearest"
    if not factors or any(f is None for f in factors):
        factors = None
    before, after = x.shape[2:], o.out[2:]
    whole = [b // a if a and b % a == 0 else 0 for a, b in zip(before, after)]
    exact = all(w > 0 and (factors is None or factors[i] == w) for i, w in enumerate(whole))
    flags = ("" if mode == "nearest" else ", {0}" + mode) + (", {0}align_corners" if corners else "")
    def written(prefix):
        wide = lambda v, r: spatial(v, n, r)
        option_ = flags.format(prefix)
        scale = "scale" if prefix else "scale_factor"
        if exact and mode in ("nearest", "trilinear"):
            return "upsample", f"{prefix}{scale}<{numbers(wide(whole, 1), 'scale')}>{option_}"
        if factors is None or corners:
            return "interpolate", f"{prefix}output_size<{numbers(wide(after, 1), 'extent')}>{option_ or f', {prefix}nearest'}"
        return "interpolate", f"{prefix}{scale}<{', '.join(repr(float(f)) for f in wide(factors, 1))}>{option_ or f', {prefix}nearest'}"
    def otherwise():
        function, arguments = written("")
        v, extents = volume(x, n)
        return reshape(E(f"{function}({v.text}, {arguments})"), o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    if n < 3:
        return otherwise()
    function, arguments = written("nn::")
    return Layer(f"nn::{function}<{arguments}>", x, otherwise=otherwise)


@translates("pad.default", "constant_pad_nd.default", "reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default",
            "replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
def pad(o):
    x = o.tensor("self")
    amounts = o.take("pad" if "pad" in o.left else "padding")
    mode = o.take("mode", "constant", "reflect", "replicate", "circular") if "mode" in o.left else \
        "constant" if "constant" in o.op else "reflect" if "reflection" in o.op else "replicate"
    value = o.take("value") if "value" in o.left else 0
    value = value or 0
    low, high = [0] * x.rank, [0] * x.rank
    for i in range(len(amounts) // 2):
        low[x.rank - 1 - i], high[x.rank - 1 - i] = amounts[2 * i], amounts[2 * i + 1]
    cropped, extents = x.e, list(x.shape)
    for a in range(x.rank):
        if low[a] < 0 or high[a] < 0:
            here = Operand(None, cropped, extents, x.type)
            start, stop = max(0, -low[a]), extents[a] - max(0, -high[a])
            cropped = part(here, a, start, stop)
            extents[a] = stop - start
    low, high = [max(0, v) for v in low], [max(0, v) for v in high]
    x = Operand(None, cropped, extents, x.type)
    if not any(low) and not any(high):
        return x.e
    n = x.rank - 2
    six = [v for a in range(2, x.rank) for v in (low[a], high[a])]
    if mode == "constant":
        if n == 3 and value == 0 and not any(low[:2]) and not any(high[:2]):
            return Layer(f"nn::zero_pad3d<{six_numbers(six)}>", x, otherwise=lambda: call("zero_pad3d", x.e, f"padding<{six_numbers(six)}>"))
        zeros = [f"shape<{', '.join(number(v, 'padding') for v in side)}>" for side in (low, high)]
        return call("pad", x.e, *zeros, *([] if value == 0 else [scalar(value)]))
    if n not in (1, 2, 3) or any(low[:2]) or any(high[:2]):
        o.refuse(f"pads batch or channels by {mode}")
    v, wide = volume(x, n)
    text = six_numbers([0, 0] * (3 - n) + six)
    e = call(f"{mode}_pad3d", v, f"padding<{text}>")
    e = reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    return Layer(f"nn::{mode}_pad3d<{text}>", x, otherwise=lambda: e) if n == 3 else e


def six_numbers(six):
    if all(v == six[0] for v in six):
        six = six[:1]
    elif all(six[2 * i] == six[2 * i + 1] for i in range(3)):
        six = six[::2]
    return ", ".join(number(v, "padding") for v in six)


@translates("pixel_shuffle.default", "pixel_unshuffle.default")
def pixel_shuffle(o):
    x = o.tensor("self")
    if x.rank != 4:
        o.refuse("pixel shuffle of a tensor that is not (N, C, H, W)")
    f = "pixel_unshuffle" if "un" in o.op else "pixel_shuffle"
    factor = o.take("upscale_factor" if "upscale_factor" in o.left else "downscale_factor")
    v, _ = volume(x, 2)
    return reshape(call(f, v, f"scale_factor<1, {factor}, {factor}>"), o.out, o.out[:2] + [1] + o.out[2:])


@translates("grid_sampler.default", "grid_sampler_3d.default")
def grid_sampler(o):
    x, grid = o.tensor("input"), o.tensor("grid")
    mode, border, corners = o.take("interpolation_mode", 0, 1), o.take("padding_mode", 0, 1, 2), o.take("align_corners")
    if x.rank != 5:
        o.refuse("grid_sample of planes", "give the planes a depth of 1")
    flags = (", nearest" if mode == 1 else "") + ["", ", border_padding", ", reflection_padding"][border] + (", align_corners" if corners else "")
    return E(f"grid_sample({x.e.text}, {grid.e.text}{flags})")


# ------------------------------------------------------------------ numbers as indices
@translates("embedding.default")
def embedding(o):
    w, i = o.tensor("weight"), o.tensor("indices")
    o.ignore("padding_idx")
    o.take("scale_grad_by_freq", False), o.take("sparse", False)
    type = f"nn::embedding<{number(w.shape[0], 'count')}, {number(w.shape[1], 'channels')}>"
    return Layer(type, i, {"weight": w}, lambda: call("embedding", i.e, w.e))


@translates("index_select.default")
def index_select(o):
    x, i = o.tensor("self"), o.tensor("index")
    return call("take", x.e, f"axis<{axis_of(o, o.take('dim'), x.rank)}>", i.e)


@translates("gather.default")
def gather(o):
    x, i = o.tensor("self"), o.tensor("index")
    axis = axis_of(o, o.take("dim"), x.rank)
    o.take("sparse_grad", False)
    if any(a != b for k, (a, b) in enumerate(zip(x.shape, i.shape)) if k != axis):
        o.refuse("gather by an index that is smaller than the tensor in other axes")
    return call("gather", x.e, f"axis<{axis}>", i.e)


@translates("index.Tensor")
def index(o):
    x, where_ = o.tensor("self"), o.take("indices")
    given = [(a, o._operand(i)) for a, i in enumerate(where_) if i is not None]
    if any(i.type in ("BOOL", "U8") for _, i in given):
        o.refuse("takes the elements that a mask chooses: how many is not known while compiling", "use torch.where")
    places = [a for a, _ in given]
    if places != list(range(places[0], places[0] + len(places))):
        o.refuse("indexes axes that do not stand next to each other")
    if len(given) == 1:
        return call("take", x.e, f"axis<{places[0]}>", i_of(given[0][1], x.shape[places[0]]))
    # x[i, j] along neighbouring axes: one axis of their product
    n = len(places)
    sizes = [x.shape[a] for a in places]
    flat = x.shape[:places[0]] + [math.prod(sizes)] + x.shape[places[-1] + 1:]
    e = None
    for k, (_, i) in enumerate(given):
        stride = math.prod(sizes[k + 1:])
        term = i_of(i, sizes[k])
        term = term if stride == 1 else binary("*", term, scalar(stride))
        e = term if e is None else binary("+", e, term)
    return call("take", reshape(x.e, flat, x.shape), f"axis<{places[0]}>", e)


def i_of(i, extent):
    """An index that may count from the end; constants do not (read.py)."""
    return i.e if i.ref.startswith("%c:") else call("select", E(f"({i.e.within(3)} < 0_c)"), binary("+", i.e, scalar(extent)), i.e)


@translates("one_hot.default")
def one_hot(o):
    x, n = o.tensor("self"), o.take("num_classes")
    return call(f"one_hot<{o.out[-1]}>", x.e)


# ------------------------------------------------------------------ random numbers
@translates("randn_like.default", "randn.default", "rand_like.default", "rand.default")
def noise(o):
    o.ignore("self", "size", "dtype", "pin_memory", "generator")
    kind = "normal" if "randn" in o.op else "uniform"
    return E(f"{kind}_noise<\"noise_{o.place}\", {', '.join(number(e, 'extent') for e in o.out)}>")
