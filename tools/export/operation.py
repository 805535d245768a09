"""What translations of operations are written with (operations/*.py): one step while it is translated, and what several of them need."""
import re

from expressions import E, axes, binary, call, number, reshape, scalar, shape

TABLE = {}


def translates(*names, of="aten"):
    def add(function):
        for n in names:
            TABLE[f"{of}.{n}"] = function
        return function
    return add


class Operand:
    def __init__(self, ref, expression, extents, type, values=None):
        self.ref, self.e, self.shape, self.type = ref, expression, list(extents), type
        self.values = values  # of a small constant

    @property
    def rank(self):
        return len(self.shape)


class Layer:
    """A layer's type, what it is applied to, and the parameters that it names {its name: operand}; `otherwise` is the same without a layer,
    for parameters that stand elsewhere."""

    def __init__(self, type, operand, parameters=None, otherwise=None):
        self.type, self.operand, self.otherwise = type, operand, otherwise
        self.parameters = {k: v for k, v in (parameters or {}).items() if v is not None}


def batch_of_one(name, rank):
    """A decorator: the operand `name` may lack the batch axis, its first; rank(o) is the rank with it."""
    def decorate(function):
        def translate(o):
            x = o._operand(o.left[name])
            if x.rank != rank(o) - 1:
                return function(o)
            o.left[name] = Operand(None, reshape(x.e, [1] + x.shape, x.shape), [1] + x.shape, x.type)
            o.out, o.outs = [1] + o.out, [[1] + e for e in o.outs]
            results = function(o)
            several = isinstance(results, list)
            results = [r.otherwise() if isinstance(r, Layer) else r for r in (results if several else [results])]
            results = [None if r is None or callable(r) else reshape(r, e[1:], e) for r, e in zip(results, o.outs)]
            return results if several else results[0]
        return translate
    return decorate


def as_a_line(function):
    """A decorator: what has no axes is a line of one number."""
    def translate(o):
        x = o._operand(o.left["self"])
        if x.rank:
            return function(o)
        o.left["self"] = Operand(None, reshape(x.e, [1], []), [1], x.type)
        o.out, o.outs = [1], [[1] for _ in o.outs]
        results = function(o)
        several = isinstance(results, list)
        results = [reshape(r.otherwise() if isinstance(r, Layer) else r, [], [1]) for r in (results if several else [results])]
        return results if several else results[0]
    return translate


def spatial_axes(o):
    """The number of spatial axes in an operation's name: 2 in aten.conv2d.default."""
    return int(re.search(r"(\d)d", o.op)[1])


class Operation:
    """One step while it is translated."""

    def __init__(self, step, operand, refuse, name_of_place, place, named, program):
        self.step, self._operand, self._refuse, self.name_of_place, self.place = step, operand, refuse, name_of_place, place
        self.program = program  # the Structure: all steps and shapes
        self.named = named  # an expression that is written more than once: its text or, if that is long, a name for it
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
        value = self.left.pop(name)
        return value if isinstance(value, Operand) else self._operand(value)

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


def scaled(o, e, alpha):
    return e if alpha == 1 else E(f"{e.within(2)} * {scalar(alpha).text}", 2)


WHOLE = ("I64", "I32", "I16", "I8", "U8", "BOOL")
LIMITS = {"U8": (256, 0), "I8": (256, 128), "I16": (65536, 32768)}  # how many numbers a type has, and how many of them are negative
LEAVE_RANGE = {"add", "sub", "rsub", "mul", "neg", "abs", "pow", "square", "sum", "cumsum", "prod", "mm", "bmm", "mv", "dot", "matmul", "addmm", "baddbmm",
               "addbmm"}


def in_range(e, type):
    """What a small type makes of a whole number: 256 is 0 as U8, and all but 0 is true."""
    if type not in LIMITS:
        return binary("-", E("1_c"), call("equal", e, E("0_c")))
    n, below = LIMITS[type]
    moved = binary("+", e, scalar(below)) if below else e
    return binary("-", e, binary("*", scalar(n), call("floor", binary("/", moved, scalar(n)))))


def permuted(x, order):
    if list(order) == list(range(len(order))):
        return x.e
    return call("transpose", x.e, axes(order))


def part(x, axis, start, stop, step=1):
    if start == 0 and stop == x.shape[axis] and step == 1:
        return x.e
    return call("slice", x.e, f"axis<{axis}>", f"range<{number(start, 'start')}, {number(stop, 'stop')}{f', {step}' if step != 1 else ''}>")


def repeated(x, axis, times):
    """Each element of an axis several times."""
    between, wide = ([*x.shape[:axis + 1], n, *x.shape[axis + 1:]] for n in (1, times))
    extents = x.shape[:axis] + [x.shape[axis] * times] + x.shape[axis + 1:]
    e = reshape(call("broadcast_to", reshape(x.e, between, x.shape), shape(wide)), extents, wide)
    return Operand(None, e, extents, x.type)


def placed(x, axis, positions, new):
    """x with the elements at these positions of an axis replaced by those of new; the last one, where a position comes twice."""
    source, n = {p: i for i, p in enumerate(positions)}, x.shape[axis]
    chosen = reshape(E(f"indices<{', '.join(str(int(i in source)) for i in range(n))}>"), [n] + [1] * (x.rank - 1 - axis), [n])
    places = f"indices<{', '.join(str(source.get(i, -1)) for i in range(n))}>"
    return call("select", chosen, call("take", new, f"axis<{axis}>", places), x.e)


def each(value, n):
    value = value if isinstance(value, list) else [value]
    return value * n if len(value) == 1 else value


def volume(x, n):
    """x of n spatial axes as a volume."""
    extents = x.shape[:2] + [1] * (3 - n) + x.shape[2:]
    return reshape(x.e, extents, x.shape), extents


def spatial(values, n, rest):
    return [rest] * (3 - n) + list(values)
