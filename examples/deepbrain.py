#!/usr/bin/env python3
"""Fetches the wheel of PyPI's deepbrain 0.1 (MIT licence) with pip and writes the weights of its network as safetensors. TensorFlow is not
needed: the graph is a protobuf message, of which this reads the constants.

    python3 examples/deepbrain.py FOLDER     writes FOLDER/deepbrain.safetensors, or ends with status 1 and one line that says why not
"""
import hashlib
import itertools
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

GRAPH = "deepbrain/models/graph.pb"
SHA256 = "6be50752ff151808dc7f8059fef39852759de8502d831949b40e991502225a2a"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of each field of a message: an int, or the bytes of a string, a message or a number of fixed size."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def constants(graph):
    """Name, shape and float32 bytes of each kernel and bias among the nodes of a tensorflow.GraphDef."""
    for number, node in fields(graph):
        parts = list(fields(node)) if number == 1 else []
        name, kind = (b"".join(v for n, v in parts if n == wanted).decode() for wanted in (1, 2))
        if kind != "Const" or not name.endswith(("/kernel", "/bias")):
            continue
        attributes = dict(dict(fields(v)).values() for n, v in parts if n == 5)
        tensor = list(fields(dict(fields(attributes[b"value"]))[8]))
        shape = [dict(fields(d))[1] for n, v in tensor if n == 2 for _, d in fields(v)]
        yield name, shape, b"".join(v for n, v in tensor if n in (4, 5))  # tensor_content, or a single float_val


def reversed_axes(shape, data):
    """(X, Y, Z, In, Out) becomes (Out, In, Z, Y, X); of a transposed convolution, (X, Y, Z, Out, In) becomes (In, Out, Z, Y, X)."""
    strides = [4 * math.prod(shape[a + 1:]) for a in reversed(range(len(shape)))]
    places = (sum(map(int.__mul__, at, strides)) for at in itertools.product(*map(range, reversed(shape))))
    return shape[::-1], b"".join(data[p:p + 4] for p in places)


def fetched():
    """The graph as it is in the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        pip = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-input", "--retries", "1", "--timeout", "15", "-d", folder,
                              "deepbrain==0.1"], stderr=subprocess.PIPE, text=True)
        if pip.returncode != 0:
            sys.exit(f"deepbrain 0.1 cannot be fetched from PyPI: {(pip.stderr.strip() or 'pip failed').splitlines()[-1]}")
        with zipfile.ZipFile(os.path.join(folder, os.listdir(folder)[0])) as wheel:
            graph = wheel.read(GRAPH)
    if hashlib.sha256(graph).hexdigest() != SHA256:
        sys.exit(f"deepbrain 0.1: {GRAPH} is not the one that is known (SHA-256)")
    return graph


def main(folder):
    header, tensors = {"__metadata__": {"source": "PyPI deepbrain 0.1 (MIT licence)"}}, []
    for name, shape, data in constants(fetched()):
        shape, data = reversed_axes(shape, data)
        begin = sum(map(len, tensors))
        tensors.append(data)
        path = name.replace("/kernel", ".weight").replace("/bias", ".bias")
        header[path] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, begin + len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(folder, "deepbrain.safetensors")
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(tensors))
    os.replace(path + ".part", path)


if __name__ == "__main__":
    main(sys.argv[1])
