"""What translations of operations are written with (operations/*.py): one step while it is translated, and what several of them need."""
from expressions import E, axes, call, number, reshape, scalar

TABLE = {}


def translates(*names):
    def add(function):
        for n in names:
            TABLE["aten." + n] = function
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


def scaled(o, e, alpha):
    return e if alpha == 1 else E(f"{e.within(2)} * {scalar(alpha).text}", 2)


def permuted(x, order):
    if list(order) == list(range(len(order))):
        return x.e
    return call("transpose", x.e, axes(order))


def part(x, axis, start, stop, step=1):
    if start == 0 and stop == x.shape[axis] and step == 1:
        return x.e
    return call("slice", x.e, f"axis<{axis}>", f"range<{number(start, 'start')}, {number(stop, 'stop')}{f', {step}' if step != 1 else ''}>")


def each(value, n):
    value = value if isinstance(value, list) else [value]
    return value * n if len(value) == 1 else value


def volume(x, n):
    """x of n spatial axes as a volume."""
    extents = x.shape[:2] + [1] * (3 - n) + x.shape[2:]
    return reshape(x.e, extents, x.shape), extents


def spatial(values, n, rest):
    return [rest] * (3 - n) + list(values)
