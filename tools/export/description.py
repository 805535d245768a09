"""The neutral description of a network, which stands between reading (read.py, PyTorch) and writing (write.py, plain Python).

A description is a dict:
  name, origin         the class of the network: "UNet", "monai.networks.nets.unet.UNet"
  inputs               [{"name", "shape", "type"}]
  scopes               calls of modules: [{"parent", "path", "class", "name"}]; 0 is the network. path is PyTorch's; name: what the
                       caller's text calls the results
  steps                operations in the order of the program: {"op", "in", "out", "scope", "line", "name"}. "in" has all arguments of the
                       operation's schema, defaults too; "%3" refers to a tensor, "%p:conv.weight" to a parameter or buffer, "%c:0" to a
                       constant; "out" is a list of [id, shape, type]
  parameters           {path: {"shape", "type", "learned"}}: what steps refer to, under PyTorch's paths
  constants            {id: {"shape", "type", and "values" (few numbers), "fill" (one number everywhere) or "file": true, "scope"}}
  results              tensors, nested: {"list": [...]}, {"dict": {name: ...}} or "%7"
  lines                texts of source lines that steps refer to
  notes                what the text of the header should say
Weights and constants are kept beside it as safetensors.
"""
import json
import struct

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Refused(Exception):
    """What cannot be translated: the operation, where it stands, and what to do about it."""

    def __init__(self, what, operation="", path="", line="", remedy=""):
        self.what, self.operation, self.path, self.line, self.remedy = what, operation, path, line, remedy
        super().__init__(str(self))

    def __str__(self):
        rows = [f"refused: {self.what}"]
        if self.operation:
            rows.append(f"  operation: {self.operation}")
        if self.path:
            rows.append(f"  module:    {self.path}")
        if self.line:
            rows.append(f"  source:    {self.line}")
        if self.remedy:
            rows.append(f"  remedy:    {self.remedy}")
        return "\n".join(rows)


def dump(description, path):
    """One step a line: small, and a diff shows what changed."""
    def compact(value):
        return json.dumps(value, separators=(",", ":"))
    rows = []
    for key, value in description.items():
        if key in ("steps", "scopes", "lines") and value:
            rows.append(f'"{key}":[\n' + ",\n".join(compact(v) for v in value) + "]")
        elif key in ("parameters", "constants") and value:
            rows.append(f'"{key}":{{\n' + ",\n".join(f"{compact(k)}:{compact(v)}" for k, v in value.items()) + "}")
        else:
            rows.append(f'"{key}":{compact(value)}')
    with open(path, "w") as f:
        f.write("{" + ",\n".join(rows) + "}\n")


def load(path):
    with open(path) as f:
        return json.load(f)


def write_safetensors(path, tensors, metadata=None):
    """tensors: {name: (dtype, shape, bytes)}."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    order = sorted(tensors, key=lambda n: (-SIZES[tensors[n][0]], n))
    for name in order:
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            f.write(tensors[name][2])
