"""Tensors while a graph is walked, and names of operations."""
import re

import torch

TYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def full_name(overload):
    return f"{overload._schema.name.replace('::', '.')}.{overload._overloadname}"


def functional(op):
    """aten.add.Tensor of aten.add_.Tensor and aten.__iadd__.Tensor."""
    op = re.sub(r"_\.(\w+)$", r".\1", op) if "__" not in op else op
    return op.replace("__i", "").replace("__", "").replace("transpose.default", "transpose.int")


def whole(value):
    return bool((value == value.round()).all()) and bool((value.abs() < 2**24).all())


class Tensor:
    """A tensor while the graph is walked: computed by the network (id), one of its parameters or buffers (path), or constant (value)."""

    def __init__(self, shape, dtype, id=None, path=None, value=None, scope=0):
        self.shape, self.dtype, self.id, self.path, self.value = tuple(shape), dtype, id, path, value
        self.recipe = None   # of a constant: how it was made, (step, operands)
        self.scope = scope
        self.names = {}      # of a constant: the version of its value -> constant id
        self.alias = None    # of a view: (tensor, operation, arguments)
        self.buffer = False  # one of the network's own, not a copy
        self.stale = False   # a view of something that was changed since


class Pair:
    """A complex tensor: its real and its imaginary part."""

    def __init__(self, re, im):
        self.parts = (re, im)

    re = property(lambda self: self.parts[0])
    im = property(lambda self: self.parts[1])
    shape = property(lambda self: self.parts[0].shape)


class Masked:
    """What a mask chooses of a tensor, from an axis on; the node that does."""

    def __init__(self, full, mask, axis, node):
        self.full, self.mask, self.axis, self.node = full, mask, axis, node


class Stored:
    """A complex parameter: a real one with an axis of two more."""

    def __init__(self, tensor):
        self.tensor = tensor
        self.shape = tensor.shape[:-1]


def tensors_in(v):
    """The tensors in nested lists and dictionaries."""
    if isinstance(v, Tensor):
        return [v]
    if isinstance(v, Masked):
        return [v.full, v.mask]
    if isinstance(v, (Pair, Stored)):
        return tensors_in(v.parts if isinstance(v, Pair) else v.tensor)
    if isinstance(v, (list, tuple)):
        return [t for x in v for t in tensors_in(x)]
    if isinstance(v, dict):
        return [t for x in v.values() for t in tensors_in(x)]
    return []
