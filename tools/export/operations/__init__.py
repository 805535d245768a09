"""What each operation of PyTorch is in C++. A translation takes every argument of the operation and refuses values it does not know, so that
nothing is lost in silence: an argument that nobody took is refused."""
from operation import TABLE, Layer, Operand, Operation  # noqa: F401

from . import elementwise, indexing, layers, matrices, shapes, sums, volumes  # noqa: F401
