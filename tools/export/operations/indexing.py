"""Numbers as indices: tables, what is taken from places and what is put there."""
import math

from expressions import E, binary, call, number, reshape, scalar, shape
from operation import Layer, Operand, axis_of, part, permuted, placed, translates


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
    e, extents = x.e, list(x.shape)
    for a, n in enumerate(i.shape):  # of the other axes only the beginning is read
        if a != axis:
            e = part(Operand(None, e, extents, x.type), a, 0, n)
            extents[a] = n
    return call("gather", e, f"axis<{axis}>", i.e)


@translates("scatter.src", "scatter.value", "scatter_add.default", "scatter.reduce", "scatter.value_reduce", "scatter_reduce.two")
def scatter(o):
    """One comparison with the places of the axis for each element of the index along it; of those that meet the last one stays."""
    x, i = o.tensor("self"), o.tensor("index")
    axis = axis_of(o, o.take("dim"), x.rank)
    src = o.value("value" if "value" in o.op else "src")
    if "include_self" in o.left:
        o.take("include_self", True)
    how = "sum" if "scatter_add" in o.op else o.take("reduce", "sum", "add", "prod", "multiply", "amax", "amin") if "reduce" in o.left else ""
    n, k = (v.shape[axis] if v.rank else 1 for v in (x, i))
    if i.shape != x.shape[:axis] + [k] + x.shape[axis + 1:] or k > 16:
        o.refuse("scatters more than a few numbers along an axis, or into a part of it", "take an index of at most 16 elements along that axis, "
                 "of the extents of the tensor along the others; or write it as gather, or a product with ones and zeros")
    if k > 1:
        i.e, src.e = o.named(i.e), o.named(src.e)
    e, along = x.e, reshape(E(f"arange<{n}>"), [n] + [1] * (x.rank - 1 - axis), [n])
    for j in range(k):
        hit, new = call("equal", part(i, axis, j, j + 1), along), src.e
        if src.rank:
            of = Operand(None, new, src.shape, src.type)
            for a in range(x.rank):  # of the source only the beginning is read
                first, length = (j, 1) if a == axis else (0, x.shape[a])
                of = Operand(None, part(of, a, first, first + length), of.shape[:a] + [length] + of.shape[a + 1:], of.type)
            new = of.e
        if how in ("sum", "add"):
            e = binary("+", e, binary("*", hit, new))
        elif how in ("prod", "multiply"):
            e = binary("*", e, call("select", hit, new, E("1_c")))
        elif how:
            least = scalar(-math.inf if how == "amax" else math.inf)
            e = call("maximum" if how == "amax" else "minimum", e, call("select", hit, new, least))
        else:
            e = call("select", hit, new, e)
    return e


@translates("index.Tensor")
def index(o):
    x, where_ = o.tensor("self"), o.take("indices")
    given = [(a, o._operand(i)) for a, i in enumerate(where_) if i is not None]
    if any(i.type in ("BOOL", "U8") for _, i in given):
        o.refuse("takes the elements that a mask chooses: how many is not known while compiling", "use torch.where")
    places = [a for a, _ in given]
    if places != list(range(places[0], places[0] + len(places))):  # the axes of the result begin with those of the indices
        order = places + [a for a in range(x.rank) if a not in places]
        x = Operand(None, permuted(x, order), [x.shape[a] for a in order], x.type)
        given = [(k, i) for k, (_, i) in enumerate(given)]
        places = list(range(len(given)))
    if len(given) == 1:
        return call("take", x.e, f"axis<{places[0]}>", i_of(given[0][1], x.shape[places[0]]))
    # x[i, j] along neighbouring axes: one axis of their product
    sizes = [x.shape[a] for a in places]
    flat = x.shape[:places[0]] + [math.prod(sizes)] + x.shape[places[-1] + 1:]
    return call("take", reshape(x.e, flat, x.shape), f"axis<{places[0]}>", flat_place([i_of(i, n) for (_, i), n in zip(given, sizes)], sizes))


def flat_place(indices, sizes):
    """The place along one axis that stands for several of these sizes."""
    e = None
    for k, i in enumerate(indices):
        stride = math.prod(sizes[k + 1:])
        term = i if stride == 1 else binary("*", i, scalar(stride))
        e = term if e is None else binary("+", e, term)
    return e


def index_from_front(o, i, extent):
    """An index that may count from the end, constants too."""
    if i.values is None:
        return i_of(Operand("", o.named(i.e), i.shape, i.type), extent)
    return reshape(E(f"indices<{', '.join(str(int(v) % extent) for v in i.values)}>"), i.shape, [len(i.values)])


def i_of(i, extent):
    """An index that may count from the end; constants do not (read.py)."""
    return i.e if i.ref.startswith("%c:") else call("select", E(f"({i.e.within(3)} < 0_c)"), binary("+", i.e, scalar(extent)), i.e)


@translates("index_put.default", "index_fill.int_Scalar", "index_fill.int_Tensor", "index_copy.default")
def index_put(o):
    """Numbers at places along one axis, or along several that stand next to each other: known ones in one step, computed ones one after the other,
    added up as a product with ones and zeros."""
    x, accumulate = o.tensor("self"), False
    if "index_put" in o.op:
        accumulate = o.take("accumulate")
        given = [(a, o._operand(i)) for a, i in enumerate(o.take("indices")) if i is not None]
        new = o.tensor("values")
    else:
        given = [(axis_of(o, o.take("dim"), x.rank), o.tensor("index"))]
        new = o.tensor("source") if "copy" in o.op else o.value("value")
    places, indices = [a for a, _ in given], [i for _, i in given]
    if len(given) == 1 and indices[0].type == "BOOL" and (new.shape == [] or new.rank <= x.rank - places[0] - indices[0].rank):
        mask = indices[0]  # one value for all that it chooses
        chosen = reshape(mask.e, mask.shape + [1] * (x.rank - places[0] - mask.rank), mask.shape)
        return binary("+", x.e, binary("*", chosen, new.e)) if accumulate else call("select", chosen, new.e, x.e)
    if any(i.type in ("BOOL", "U8") for i in indices) or places != list(range(places[0], places[0] + len(places))):
        o.refuse("writes to places that a mask or axes apart from each other choose", "put the tensor together with torch.cat or torch.where")
    first, last = places[0], places[-1] + 1
    shapes = [i.shape for i in indices]
    if any(s != shapes[0] for s in shapes):
        o.refuse("writes to places of indices that are repeated", "give indices of one shape")
    wide = x.shape[:first] + shapes[0] + x.shape[last:]
    e = new.e if new.shape == wide else call("broadcast_to", new.e, shape(wide))
    n, k = math.prod(x.shape[first:last]), math.prod(shapes[0])
    one, many = (x.shape[:first] + [m] + x.shape[last:] for m in (n, k))
    known = all(i.values is not None for i in indices)
    if known and not accumulate:
        flat = [0] * k
        for a, i in given:
            flat = [f * x.shape[a] + int(v) % x.shape[a] for f, v in zip(flat, i.values)]
        return reshape(placed(Operand(None, reshape(x.e, one, x.shape), one, x.type), first, flat, reshape(e, many, wide)), x.shape, one)
    places = reshape(flat_place([index_from_front(o, i, x.shape[a]) for a, i in given], x.shape[first:last]), [k], shapes[0])
    if accumulate:
        if n * k > 4096 * 4096:
            o.refuse(f"adds up what goes to one place, {k} numbers to {n} places", "keep the product of both to 2^24")
        before, behind = math.prod(x.shape[:first]), math.prod(x.shape[last:])
        sums = call("matmul", f"transpose(one_hot<{n}>({places.text}), axes<1, 0>)", reshape(e, [before, k, behind], wide))
        return binary("+", x.e, reshape(sums, x.shape, [before, n, behind]))
    if k > 16:
        o.refuse(f"writes to {k} places that are computed", "write to at most 16, or put the tensor together with torch.cat or torch.where")
    rest = [1] * (len(one) - 1 - first)
    along = reshape(E(f"arange<{n}>"), [n] + rest, [n])
    at = Operand(None, o.named(reshape(places, [k] + rest, [k])), [k] + rest, "I64")
    new, result = Operand(None, o.named(reshape(e, many, wide)), many, x.type), reshape(x.e, one, x.shape)
    for j in range(k):
        result = call("select", call("equal", part(at, 0, j, j + 1), along), part(new, first, j, j + 1), result)
    return reshape(result, x.shape, one)


@translates("one_hot.default")
def one_hot(o):
    x = o.tensor("self")
    o.ignore("num_classes")
    return call(f"one_hot<{o.out[-1]}>", x.e)
