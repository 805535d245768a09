"""torch.export, what goes before it, and what it says when it refuses."""
import contextlib
import dataclasses
import io
import os
import re
import sysconfig
import traceback
import warnings
from unittest import mock

import torch

from description import Refused

DROP_PATHS = {"DropPath": "drop_prob", "StochasticDepth": "p"}  # their classes, and the attribute that is the probability


def place(file):
    """A file as a reader knows it: from the packages or from here on."""
    file = re.sub(r"^.*/site-packages/", "", file)
    here = os.getcwd() + "/"
    return file[len(here):] if file.startswith(here) else file


@contextlib.contextmanager
def quiet():
    """Without the warnings that PyTorch gives of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def user_frames(tracer, summary):
    """Where a node comes from: PyTorch keeps functions called forward only, this what they call too."""
    inside, frames = os.path.dirname(torch.__file__), list(summary)
    first = next((i for i, f in enumerate(frames) if f.name == "forward"), len(frames))
    return traceback.StackSummary.from_list([f for f in frames[first:] if f.name == "forward" or not f.filename.startswith((inside, "<"))])


def copied(given):
    """Tensors of their own in the same structure."""
    return torch.utils._pytree.tree_map(lambda t: t.clone() if isinstance(t, torch.Tensor) else t, given)


def run_once(module, args, kwargs):
    """What a first run puts into caches (dictionaries, lru_cache) are real tensors then, not those of a trace."""
    args, kwargs = copied((args, kwargs))
    with buffers_kept(module), torch.no_grad(), contextlib.suppress(Exception):  # what it complains about is said while tracing
        module(*args, **kwargs)


@contextlib.contextmanager
def buffers_kept(module):
    """Buffers are afterwards what they were."""
    kept = [(m, dict(m._buffers)) for m in module.modules() if not isinstance(m, torch.jit.ScriptModule)]
    values = {b: (b.clone(), b._version) for _, buffers in kept for b in buffers.values() if b is not None and not b.is_inference()}
    try:
        yield
    finally:
        with torch.no_grad():
            for m, buffers in kept:
                m._buffers.clear()
                m._buffers.update(buffers)
            for b, (value, version) in values.items():
                if b._version != version:
                    b.copy_(value)


def dataclasses_known(module, args, kwargs):
    """Makes the dataclasses that a network returns known to torch.export; whether there are any."""
    args, kwargs = copied((args, kwargs))
    left, found = [module(*args, **kwargs)], set()
    while left:
        value = left.pop()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found.add(type(value))
            left += [getattr(value, f.name) for f in dataclasses.fields(value)]
        elif isinstance(value, (list, tuple, dict)):
            left += value.values() if isinstance(value, dict) else value
    with quiet():
        for cls in found:
            torch.export.register_dataclass(cls)
    return bool(found)


def exported(module, args, kwargs):
    with buffers_kept(module):
        try:
            return traced(module, args, kwargs)
        except Exception as e:
            if "is not a known type" in str(e) and dataclasses_known(module, args, kwargs):
                return traced(module, args, kwargs)
            raise


def traced(module, args, kwargs):
    """The exported program, with its regions of no_grad; without them where PyTorch could not differentiate it, as where pieces of a tensor are
    changed in place. x.data would lead out of what is traced: while tracing it is x.detach(). Transformers ask whether a mask is causal, to choose
    a faster kernel: the answer is no, and the mask is applied as it is."""
    from torch._subclasses.fake_tensor import FakeTensor
    data, transformer = torch._C.TensorBase.data, torch.nn.modules.transformer
    torch.Tensor.data = property(lambda x: x.detach() if type(x) is FakeTensor else data.__get__(x), lambda x, v: data.__set__(x, v))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), quiet(), \
                mock.patch.object(transformer, "_detect_is_causal_mask", lambda mask, is_causal=None, size=None: is_causal is True), \
                mock.patch.object(torch.fx.proxy.TracerBase, "_filter_traceback_frames", user_frames):
            with contextlib.suppress(Exception), torch.enable_grad():
                return torch.export.export(module, args, kwargs, strict=False)
            with torch.no_grad():
                return torch.export.export(module, args, kwargs, strict=False)
    finally:
        del torch.Tensor.data


@contextlib.contextmanager
def own_derivatives(names):
    """Notes the classes of torch.autograd.Function that are applied: a trace has their forward alone."""
    original = torch.autograd.Function.__dict__["apply"]
    def apply(cls, *args, **kwargs):
        if not cls.__module__.startswith("torch."):
            names.add(cls.__name__)
        return original.__get__(None, cls)(*args, **kwargs)
    torch.autograd.Function.apply = classmethod(apply)
    try:
        yield
    finally:
        torch.autograd.Function.apply = original


def mark_drop_paths(module):
    """Drop path leaves no trace in an exported inference: while exporting, its modules say what they are."""
    patched = []
    for m in module.modules():
        attribute = DROP_PATHS.get(type(m).__name__)
        p = getattr(m, attribute, None) if attribute else None
        if isinstance(p, (int, float)) and p > 0 and getattr(m, "mode", "row") == "row" and getattr(m, "scale_by_keep", True):
            m.forward = lambda x, p=float(p): torch.dropout(x, p, False)
            patched.append(m)
    return patched


def explained(e):
    """What torch.export says, as a refusal: its first sentence and the user's line."""
    text = str(e)
    first = next((row.strip() for row in text.splitlines() if row.strip()), type(e).__name__)
    inside = (os.path.dirname(torch.__file__), os.path.dirname(os.path.dirname(__file__)), sysconfig.get_path("stdlib") + os.sep, "<")
    users = lambda f: "site-packages" in f[0].removeprefix(inside[0]) or not f[0].startswith(inside)
    frames = [f for f in re.findall(r'File "([^"]+)", line (\d+), in [^\n]*\n +([^\n]*)', text) if users(f)]
    frames = frames or [f for f in iter_traceback(e.__traceback__) if users(f)][-1:]
    line = ""
    if frames:
        file, number, source = frames[-1]
        line = f"{place(file)}:{number}: {source}"
    data = any(w in text for w in ("data-dependent", "unbacked", "GuardOnDataDependent", "item()", "control flow")) or type(e).__name__ in ("DataDependentOutputException", "DynamicOutputShapeException")
    remedy = "try torch.export.export(net, inputs, strict=False) by itself, and change what it complains about"
    if data:
        remedy = "its control flow depends on the values of tensors: make the choice outside of forward, or with torch.where"
    elif isinstance(e, TypeError) and "argument" in text and not line:  # the call of the network itself
        remedy = "give one example input for each argument of forward"
    return Refused("torch.export cannot trace it: " + first[:300], line=line, remedy=remedy)


def iter_traceback(trace):
    import linecache
    while trace is not None:
        file, number = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        yield file, str(number), linecache.getline(file, number).strip()
        trace = trace.tb_next


@contextlib.contextmanager
def inference(module):
    """All of it in inference; afterwards each module as it was."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, training in modes.items():
            m.training = training
