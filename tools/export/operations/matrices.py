"""Determinants and inverses of small square matrices, by cofactors."""
from expressions import E, axes, binary, call, negative, reshape
from operation import Operand, part, permuted, translates


def square(o, name):
    """A matrix and its rows."""
    x = o.tensor(name)
    if x.shape[-1] > 4:
        o.refuse(f"solves or takes the determinant of matrices of {x.shape[-1]} rows",
                 "keep them to 4 rows; for a constant matrix, make its inverse in __init__")
    x.e = o.named(x.e)
    return x, [o.named(part(x, x.rank - 2, i, i + 1)) for i in range(x.shape[-1])]


def cofactors(o, x, rows, i):
    """Of a row: a vector whose product with the row is the determinant."""
    n, others = len(rows), rows[:i] + rows[i + 1:]
    def turned(e, k):
        return call(f"roll<-{k}>", e, f"axis<{x.rank - 1}>")
    def crossed(a, b, k):  # a_j b_(j + k) - a_(j + k) b_j
        return o.named(binary("-", binary("*", a, turned(b, k)), binary("*", turned(a, k), b)))
    if n == 1:
        return E("1_c")
    if n == 2:
        minors = turned(others[0], 1)
    elif n == 3:
        minors = turned(crossed(*others, 1), 1)
    else:
        first, b, c = others
        near, far = crossed(b, c, 1), crossed(b, c, 2)
        minors = binary("+", binary("-", binary("*", turned(first, 1), turned(near, 2)), binary("*", turned(first, 2), turned(far, 1))),
                        binary("*", turned(first, 3), turned(near, 1)))
    if n == 3:
        return negative(minors) if i % 2 else minors
    signs = ", ".join(str((-1) ** (i + j)) for j in range(n))
    return binary("*", E(f"indices<{signs}>"), minors)


def determinant(x, first, cofactors_of_first):
    """With the axes of a matrix, of one element each."""
    return call("sum", binary("*", first, cofactors_of_first), axes([x.rank - 1]), "keepdims")


def inverse_of(o, x, rows):
    if len(rows) == 1:
        return binary("/", E("1_c"), x.e)
    columns = [o.named(cofactors(o, x, rows, i)) for i in range(len(rows))]
    adjugate = permuted(Operand(None, call("concat", f"axis<{x.rank - 2}>", *columns), x.shape, x.type), [*range(x.rank - 2), x.rank - 1, x.rank - 2])
    return binary("/", adjugate, o.named(determinant(x, rows[0], columns[0])))


@translates("linalg_det.default", "det.default", "logdet.default", "slogdet.default", "linalg_slogdet.default")
def det(o):
    x, rows = square(o, "A" if "A" in o.left else "self")
    e = reshape(determinant(x, rows[0], cofactors(o, x, rows, 0)), x.shape[:-2], x.shape[:-2] + [1, 1])
    if "slogdet" in o.op:
        e = o.named(e)
        return [call("sign", e), call("log", call("abs", e))]
    return call("log", e) if "log" in o.op else e


@translates("inverse.default", "linalg_inv.default")
def inverse(o):
    return inverse_of(o, *square(o, "A" if "A" in o.left else "self"))


@translates("linalg_solve.default")
def solve(o):
    (x, rows), b = square(o, "A"), o.tensor("B")
    o.take("left", True)
    column = b.rank == 1 or b.shape == x.shape[:-1]
    right = reshape(b.e, b.shape + [1], b.shape) if column else b.e
    return reshape(call("matmul", inverse_of(o, x, rows), right), o.out, o.out + [1] if column else o.out)
