"""Where a node stands: in which module, at which line of the user's, under which name."""
import ast
import inspect
import os
import re
import textwrap

import torch

from description import Refused
from reading.tracing import place


def returned_names(cls):
    """What the text of a class's forward returns, in its order: ['h', ''] for 'return h, self.act(c)'; [] where that is not said in one way."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls.forward))).body[0]
    except (AttributeError, OSError, TypeError, SyntaxError, IndexError):
        return []
    def flat(e):
        if isinstance(e, (ast.Tuple, ast.List)):
            return [n for inner in e.elts for n in flat(inner)]
        return [e.id if isinstance(e, ast.Name) else ""]
    found = [flat(r.value) for r in ast.walk(body) if isinstance(r, ast.Return) and isinstance(r.value, (ast.Tuple, ast.List))]
    return found[0] if found and all(f == found[0] for f in found) else []


class Places:
    """Of a Reader, which has modules, scopes, scope_of, lines and line_of."""

    def stack(self, node):
        return [(key, value[0], value[1]) for key, value in (node.meta.get("nn_module_stack") or {}).items()]

    def scope(self, node):
        """The number of the scope that a node stands in; makes it and its parents."""
        if node is None:
            return 0
        at, keys = 0, ()
        frames = self.frames(node)
        for key, path, cls in self.stack(node)[1:]:
            keys += (key,)
            found = self.scope_of.get(keys)
            if found is None:
                cls = cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}"
                found = self.scope_of[keys] = len(self.scopes)
                entry = {"parent": at, "path": path.split("@")[0], "class": cls, "name": self.named_in(frames, self.scopes[at])}
                returns = returned_names(type(self.modules.get(entry["path"])))
                self.scopes.append({**entry, "returns": returns} if returns else entry)
            at = found
        return at

    def innermost(self, node):
        """The module that a node stands in."""
        stack = self.stack(node)
        return self.modules.get(stack[-1][1].split("@")[0]) if stack else self.module

    @staticmethod
    def frames(node):
        trace = node.meta.get("stack_trace") or ""
        return [(m[1], int(m[2]), m[3].strip()) for m in re.finditer(r'File "([^"]+)", line (\d+), in [^\n]*\n +([^\n]*)', trace)]

    def named_in(self, frames, scope):
        """What the text of this module's forward calls the value that the frames make: 'y' in 'y = self.conv(x)'."""
        module = self.modules.get(scope["path"])
        code = getattr(getattr(type(module), "forward", None), "__code__", None)
        if code is None:
            return ""
        last = max((line for _, _, line in code.co_lines() if line), default=0)
        for file, line, text in frames:
            if file == code.co_filename and code.co_firstlineno <= line <= last:
                m = re.match(r"([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=[^=]", text)
                return m[1].replace(" ", "") if m else ""
        return ""

    def line(self, node):
        inside = os.path.dirname(torch.__file__)
        frames = [f for f in self.frames(node) if not f[0].startswith((inside, "<"))]
        stack = self.stack(node)
        if not frames and not stack:
            return -1
        if frames:
            file, number, text = frames[-1]
            text = f"{place(file)}:{number}: {text}"
        else:  # nothing but PyTorch's own text
            cls = stack[-1][2]
            text = "forward of " + (cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}")
        if text not in self.line_of:
            self.line_of[text] = len(self.lines)
            self.lines.append(text)
        return self.line_of[text]

    def refuse(self, what, node, remedy=""):
        stack = self.stack(node)
        line = self.line(node)
        operation = str(node.target) if isinstance(node.target, torch._ops.OperatorBase) else getattr(node.target, "__name__", str(node.target))
        raise Refused(what, operation, stack[-1][1].split("@")[0] or "(the network itself)" if stack else "",
                      self.lines[line] if line >= 0 else "", remedy)
