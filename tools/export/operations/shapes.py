"""Shapes, parts and places."""

from expressions import binary, call, reshape, shape
from operation import Layer, Operand, axis_of, part, permuted, placed, repeated, translates


# ------------------------------------------------------------------ shapes
@translates("view.default", "reshape.default", "_unsafe_view.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default",
            "unflatten.int", "flatten.using_ints", "view.dtype", "_reshape_alias.default", "ravel.default", "reshape_as.default",
            "view_as.default")
def reshaped(o):
    x = o.tensor("self")
    o.ignore("size", "shape", "dim", "sizes", "stride", "other")
    if o.op == "aten.view.dtype":
        o.refuse("reads the bits of numbers as another type")
    if "flatten.using" in o.op:
        start, end = o.take("start_dim"), o.take("end_dim")
        if start == 1 and end in (-1, x.rank - 1) and x.rank > 2:
            return Layer("nn::flatten", x, otherwise=lambda: call("flatten", x.e))
    return reshape(x.e, o.out, x.shape)



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
    x.e = o.named(x.e)
    return [selected(o, x, axis, i) for i in range(x.shape[axis])]


@translates("split.Tensor", "split_with_sizes.default", "split.sizes", "chunk.default", "unsafe_chunk.default", "unsafe_split.Tensor",
            "tensor_split.sections", "tensor_split.indices", "split.default")
def split(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    o.ignore("split_size", "split_sizes", "chunks", "sections", "indices")  # the results have these sizes
    x.e = o.named(x.e)
    parts, at = [], 0
    for extents in o.outs:
        parts.append(part(x, axis, at, at + extents[axis]))
        at += extents[axis]
    if at != x.shape[axis]:
        o.refuse("parts of it overlap or are missing")
    return parts


@translates("cat.default", "concat.default", "concatenate.default")
def cat(o):
    parts = [t for t in o.tensors("tensors") if 0 not in t.shape]
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
            return placed(x, axis, range(start, stop, step), src.e)
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
    a, b, reduction = o.tensor("self"), o.tensor("target"), o.take("reduction")
    squares = call("square", binary("-", a.e, b.e))
    return call("mse", a.e, b.e) if reduction == 1 else call("sum", squares) if reduction == 2 else squares


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
    return repeated(x, axis_of(o, axis, x.rank), times).e


@translates("flip.default")
def flip(o):
    x = o.tensor("self")
    e = x.e
    for a in o.take("dims"):
        a = axis_of(o, a, x.rank)
        e = call("take", e, f"axis<{a}>", f"constant<{x.shape[a] - 1}> - arange<{x.shape[a]}>")
    return e


@translates("diagonal.default")
def diagonal(o):
    x, offset = o.tensor("self"), o.take("offset")
    a, b = axis_of(o, o.take("dim1"), x.rank), axis_of(o, o.take("dim2"), x.rank)
    rest = [i for i in range(x.rank) if i not in (a, b)]
    rows, columns = x.shape[a], x.shape[b]
    flat = reshape(permuted(x, rest + [a, b]), [x.shape[i] for i in rest] + [rows * columns], [x.shape[i] for i in rest] + [rows, columns])
    first = offset if offset >= 0 else -offset * columns
    return call("take", flat, f"axis<{len(rest)}>", f"constant<{first}> + constant<{columns + 1}> * arange<{o.out[-1]}>")


@translates("unfold.default")
def unfold(o):
    x, size, step = o.tensor("self"), o.take("size"), o.take("step")
    axis = axis_of(o, o.take("dimension"), x.rank)
    windows = f"reshape(constant<{step}> * arange<{o.out[axis]}>, {shape([o.out[axis], 1])}) + arange<{size}>"
    order = [a for a in range(x.rank + 1) if a != axis + 1] + [axis + 1]
    return permuted(Operand(None, call("take", x.e, f"axis<{axis}>", windows), o.out[:axis + 1] + [size] + x.shape[axis + 1:], x.type), order)


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
