"""Numbers from a formula, the same here and in check.hpp: parameters and inputs of the networks that are tested, so that files stay small. The
bits are those of volute's initial values (docs/semantics.md): a stream that depends on the path."""
import math

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
RESULTS = 48  # numbers of each result that are compared one by one


def mix(z):
    z = np.asarray(z, np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(path, n, bound):
    """n numbers between -bound and bound, as float."""
    with np.errstate(over="ignore"):
        stream = mix(GAMMA)
        for c in path.encode():
            stream = mix(stream ^ np.uint64(c)) + GAMMA
        bits = mix(stream + np.arange(n, dtype=np.uint64) * GAMMA)
    return (((bits >> np.uint64(11)).astype(np.int64) - (1 << 52)).astype(np.float64) * (bound / 4503599627370496.0)).astype(np.float32)


def parameter(path, shape):
    """Matrices and filters that keep the size of what goes through; scales around 0.75, shifts around 0, variances around 1."""
    n = math.prod(shape)
    last = path.rsplit(".", 1)[-1]
    if len(shape) > 1:
        return uniform(path, n, math.sqrt(3.0 * shape[0] / n)).reshape(shape)
    if last in ("bias", "running_mean"):
        return uniform(path, n, 0.1).reshape(shape)
    if last == "running_var":
        return (np.float32(1) + uniform(path, n, 0.3)).reshape(shape)
    return (np.float32(0.75) + uniform(path, n, 0.25)).reshape(shape)


def from_formula(path, learned):
    return learned or path.rsplit(".", 1)[-1] in ("running_mean", "running_var")


def input_values(name, shape, type):
    n = math.prod(shape)
    if type != "F32":
        return (np.arange(n) % 3).reshape(shape)
    return uniform("input." + name, n, math.sqrt(3.0)).reshape(shape)


def places(n):
    return [(i * 2654435761 + 12345) % n for i in range(min(RESULTS, n))]
