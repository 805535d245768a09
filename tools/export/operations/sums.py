"""Sums, products of matrices, attention."""
import math

from expressions import E, axes, binary, call, literal, negative, number, reshape, scalar, shape
from .elementwise import converted
from operation import Layer, Operand, as_a_line, axis_of, part, permuted, repeated, scaled, translates


# ------------------------------------------------------------------ sums
def over(o, name="dim", rank=None):
    dims = o.take(name)
    if dims is None or dims == []:
        return None
    return sorted(axis_of(o, a, rank) for a in (dims if isinstance(dims, list) else [dims]))


def as_asked(o, x):
    """x as the type that the sum is asked to be made in: of real numbers in whole ones what stands before the point."""
    if "dtype" in o.left and o.take("dtype", None, o.type) is not None:
        return Operand(None, converted(o, x), x.shape, o.type)
    return x


def reduced(o, function, x, dims, keep):
    if dims is None and keep:
        dims = list(range(x.rank))
    return call(function, x.e, *([axes(dims)] if dims is not None else []), *(["keepdims"] if keep else []))


@translates("mean.default", "sum.default", "mean.dim", "sum.dim_IntList", "amax.default", "max.default")
@as_a_line
def reduction(o):
    x = as_asked(o, o.tensor("self"))
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    return reduced(o, {"mean": "mean", "sum": "sum", "amax": "maximum", "max": "maximum"}[o.op.split(".")[1]], x, dims, keep)


@translates("amin.default", "min.default")
@as_a_line
def amin(o):
    x = o.tensor("self")
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    return negative(reduced(o, "maximum", negated(x), dims, keep))


def negated(x):
    return Operand(None, negative(x.e), x.shape, x.type)


def ranked(o, x, axis, k):
    """Where the k largest along an axis are, one maximum after the other: what is taken becomes -infinity, what was that the least float. Of equal
    numbers the first comes first."""
    if k > 16:
        o.refuse(f"puts {k} numbers in order", "keep what is sorted to 16 numbers, or use max or min")
    places = []
    along = reshape(E(f"arange<{x.shape[axis]}>"), [x.shape[axis]] + [1] * (x.rank - 1 - axis), [x.shape[axis]])
    left = Operand(None, call("at_least", x.e, scalar(-3.4028234663852886e38)), x.shape, x.type)
    for i in range(k):
        left = Operand(None, o.named(left.e), x.shape, x.type)
        places.append(o.named(argmaximum(o, left, axis, True)))
        left = Operand(None, call("select", call("equal", places[-1], along), scalar(-math.inf), left.e), x.shape, x.type)
    return places


@translates("topk.default", "sort.default", "sort.stable", "argsort.default", "argsort.stable", "kthvalue.default", "median.dim")
@as_a_line
def in_order(o):
    x, name = o.tensor("self"), o.op.split(".")[1]
    axis = axis_of(o, o.take("dim"), x.rank)
    o.ignore("sorted", "stable")
    n = x.shape[axis]
    largest = o.take("largest" if name == "topk" else "descending") if name in ("topk", "sort", "argsort") else False
    k = (n + 1) // 2 if name == "median" else o.take("k") if "k" in o.left else n
    one = name in ("median", "kthvalue")
    x.e = o.named(x.e)
    places = ranked(o, x if largest else negated(x), axis, k)
    where = places[-1] if one or k == 1 else o.named(call("concat", f"axis<{axis}>", *places))
    if name == "argsort":
        return where
    results, kept = [call("gather", x.e, f"axis<{axis}>", where), where], [1 if a == axis else n for a, n in enumerate(x.shape)]
    return results if not one or o.take("keepdim") else [reshape(r, o.out, kept) for r in results]


@translates("max.dim", "min.dim")
@as_a_line
def max_dim(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    keep, least = o.take("keepdim"), "min" in o.op
    x = negated(x) if least else x
    extreme = reduced(o, "maximum", x, [axis], keep)
    return [negative(extreme) if least else extreme, argmaximum(o, x, axis, keep)]


@translates("any.default", "any.dim", "any.dims", "all.default", "all.dim", "all.dims")
@as_a_line
def some_or_all(o):
    """The largest of what is true, or 1 less the largest of what is not."""
    x = o.tensor("self")
    every = ".all" in o.op
    e = call("equal", x.e, E("0_c")) if every or x.type != "BOOL" else x.e
    e = binary("-", E("1_c"), e) if not every and x.type != "BOOL" else e
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    largest = reduced(o, "maximum", Operand(None, e, x.shape, x.type), dims, o.take("keepdim") if "keepdim" in o.left else False)
    return binary("-", E("1_c"), largest) if every else largest


@translates("prod.default", "prod.dim_int")
@as_a_line
def prod(o):
    x = as_asked(o, o.tensor("self"))
    axis = axis_of(o, o.take("dim"), x.rank) if "dim" in o.left else 0
    if "keepdim" in o.left:
        o.ignore("keepdim")
    else:
        x = Operand(None, reshape(x.e, [math.prod(x.shape)], x.shape), [math.prod(x.shape)], x.type)
    n = x.shape[axis]
    if not 0 < n <= 16:
        o.refuse(f"multiplies {n} numbers", "keep such a product to 16 numbers, or write it as the exp of a sum of logs")
    product = part(x, axis, 0, 1)
    for i in range(1, n):
        product = binary("*", product, part(x, axis, i, i + 1))
    return reshape(product, o.out, x.shape[:axis] + [1] + x.shape[axis + 1:])


@translates("cumsum.default")
@as_a_line
def cumsum(o):
    """A product with the matrix whose element (i, j) is 1 where i <= j."""
    x = as_asked(o, o.tensor("self"))
    axis = axis_of(o, o.take("dim"), x.rank)
    order = list(range(x.rank))
    order[axis], order[-1] = order[-1], order[axis]
    n = x.shape[axis]
    if n > 4096:
        o.refuse(f"adds up {n} numbers one by one", "keep the axis of a cumsum to 4096 elements")
    moved = [x.shape[a] for a in order]
    before = E(f"(reshape(arange<{n}>, {shape([n, 1])}) <= arange<{n}>)")
    return permuted(Operand(None, call("matmul", permuted(x, order), before), moved, x.type), order)


@translates("cumprod.default")
@as_a_line
def cumprod(o):
    """Products of 2, 4, 8... neighbours: each step multiplies by what stands as many places before."""
    x = as_asked(o, o.tensor("self"))
    axis = axis_of(o, o.take("dim"), x.rank)
    n, far, e = x.shape[axis], 1, x.e
    side = lambda v: shape([v if a == axis else 0 for a in range(x.rank)])
    while far < n:
        e = o.named(e)
        before = part(Operand(None, e, x.shape, x.type), axis, 0, n - far)
        e = binary("*", e, call("pad", before, side(far), side(0), scalar(1)))
        far *= 2
    return e


def argmaximum(o, x, axis, keep):
    e = call("argmax", x.e, f"axis<{axis}>")
    return reshape(e, [1 if a == axis else n for a, n in enumerate(x.shape)], [n for a, n in enumerate(x.shape) if a != axis]) if keep else e


@translates("argmax.default", "argmin.default")
@as_a_line
def argmax(o):
    x = o.tensor("self")
    axis, keep = o.take("dim"), o.take("keepdim")
    x = negated(x) if "min" in o.op else x
    if axis is None:
        n = math.prod(x.shape)
        return reshape(call("argmax", reshape(x.e, [n], x.shape), "axis<0>"), o.out, [])
    return argmaximum(o, x, axis_of(o, axis, x.rank), keep)


@translates("var.correction", "var.dim", "std.correction", "std.dim", "var_mean.correction", "std_mean.correction")
@as_a_line
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
    v = v if ".var" in o.op else call("sqrt", v)
    return [v, reduced(o, "mean", x, dims, keep)] if "mean" in o.op else v


@translates("linalg_vector_norm.default", "norm.ScalarOpt_dim", "norm.Scalar")
@as_a_line
def norm(o):
    x = o.tensor("self")
    o.take("ord" if "ord" in o.left else "p", 2, 2.0, None)
    dims = over(o, rank=x.rank) if "dim" in o.left else None
    keep = o.take("keepdim") if "keepdim" in o.left else False
    o.ignore("dtype")
    return reduced(o, "norm", x, dims, keep)


@translates("softmax.int", "log_softmax.int", "_softmax.default", "_log_softmax.default")
@as_a_line
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


@translates("addbmm.default")
def addbmm(o):
    b, x, y = (o.tensor(n) for n in ("self", "batch1", "batch2"))
    product = call("sum", call("matmul", x.e, y.e), axes([0]))
    return binary("+", scaled(o, product, o.take("alpha")), scaled(o, b.e, o.take("beta")))


@translates("bilinear.default")
def bilinear(o):
    """Sum over i, j of x_i w_kij y_j."""
    x, y, w, b = o.tensor("input1"), o.tensor("input2"), o.tensor("weight"), o.optional("bias")
    k, i, j = w.shape
    rows = reshape(permuted(w, [1, 0, 2]), [i, k * j], [i, k, j])
    split = reshape(call("matmul", x.e, rows), x.shape[:-1] + [k, j], x.shape[:-1] + [k * j])
    z = call("sum", binary("*", split, reshape(y.e, y.shape[:-1] + [1, j], y.shape)), axes([x.rank]))
    return binary("+", z, b.e) if b else z


@translates("cdist.default")
def cdist(o):
    x, y = o.tensor("x1"), o.tensor("x2")
    p = o.take("p")
    o.ignore("compute_mode")
    difference = binary("-", reshape(x.e, x.shape[:-1] + [1, x.shape[-1]], x.shape), reshape(y.e, y.shape[:-2] + [1] + y.shape[-2:], y.shape))
    last, size = axes([len(o.out)]), call("abs", difference)
    if p == 2:
        return call("norm", difference, last)
    if p == math.inf:
        return call("maximum", size, last)
    return call("sum", size, last) if p == 1 else call("power", call("sum", call("power", size, scalar(p)), last), scalar(1 / p))


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
    if o.take("enable_gqa"):  # each head of k and v serves several of q
        k, v = (repeated(p, p.rank - 3, q.shape[-3] // p.shape[-3]) for p in (k, v))
    o.take("dropout_p", 0, 0.0)
    options = []
    if mask is not None:
        options.append(call("attn_mask" if mask.type == "BOOL" else "attn_bias", mask.e))
    if o.take("is_causal"):
        options.append("causal")
    return attention_of(o, q, k, v, options)


def attention_of(o, q, k, v, options):
    scale = o.take("scale")
    if scale is not None and not math.isclose(scale, 1 / math.sqrt(q.shape[-1]), rel_tol=1e-12):
        options.append(f"attn_scale<{literal(scale)}>")
    return call("attention", q.e, k.e, v.e, *options)


@translates("attention", of="volute")
def written_out(o):  # see attention.py
    q, k, v = (o.tensor(n) for n in ("query", "key", "value"))
    return attention_of(o, q, k, v, [call("attn_bias", b.e) for b in o.tensors("biases")])
