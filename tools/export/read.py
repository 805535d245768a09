"""Reading: a torch.nn.Module becomes a neutral description (description.py) and tensors. With its parts in reading/ all that needs PyTorch."""
import dataclasses
import inspect
import operator
import re
from collections import OrderedDict

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from description import Refused
from operations import TABLE
from reading.changes import Changes
from reading.complex import Complex, is_complex, pairs_in
from reading.masks import FIXED_SIZE, Masks
from reading.places import Places
from reading.tensor import TYPES, Masked, Pair, Stored, Tensor, full_name, functional, tensors_in, whole
from reading.tracing import DROP_PATHS, copied, explained, exported, inference, mark_drop_paths, own_derivatives, quiet, run_once
from structure import references

WHERE = ("device", "layout", "pin_memory", "memory_format", "generator", "implicit", "non_blocking")  # arguments without a meaning here
FILLED = {"new_zeros": 0, "new_ones": 1, "new_full": 0, "zeros_like": 0, "ones_like": 1, "full_like": 0}
ONLY_SHAPE = {"copy": "self", "fill": "self", "zero": "self", "randn_like": "self", "rand_like": "self", "expand_as": "other", "view_as": "other",
              "reshape_as": "other", "type_as": "other"}  # operands whose numbers are not read
NOT_IN_INFERENCE = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout", "scaled_dot", "rrelu")  # random numbers
COPIES = ("clone.default", "detach.default", "alias.default", "contiguous.default", "lift_fresh_copy.default")
FEW = 64        # constants up to this size stand in the header
LARGE = 65536   # constants beyond it are computed rather than stored, if what they are made of is smaller
EXPANDING = {"sub", "add", "mul", "ne", "eq", "gt", "lt", "ge", "le", "masked_fill", "unsqueeze", "expand", "view", "reshape", "where",
             "to", "permute", "transpose", "repeat", "float", "logical_and", "bitwise_and"}
SYMBOLS = (torch.SymInt, torch.SymBool, torch.SymFloat)
OTHER_FLOATS = (torch.float64, torch.float16, torch.bfloat16)
# What modules of torch.nn do in training and the operations of an inference do not show.
OTHER_TRAINING = {
    "The dropout of attention's weights is left out": lambda m: isinstance(m, torch.nn.MultiheadAttention) and m.dropout > 0,
    "The dropout between layers of a recurrent network is left out": lambda m: isinstance(m, torch.nn.RNNBase) and m.dropout > 0,
    "The row that an embedding has for padding learns":
        lambda m: isinstance(m, (torch.nn.Embedding, torch.nn.EmbeddingBag)) and m.padding_idx is not None,
    "Batch norm with momentum=None keeps its running statistics as they are":
        lambda m: isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.track_running_stats and m.momentum is None,
    "Instance norm takes its running statistics": lambda m: isinstance(m, torch.nn.modules.instancenorm._InstanceNorm) and m.track_running_stats,
    "Spectral norms keep the vectors that they have": lambda m: type(m).__name__ == "_SpectralNorm" or
        any(type(h).__name__ == "SpectralNorm" for h in m._forward_pre_hooks.values())}
# Operations that have a translation for usual arguments: for these arguments they are made of others.
PLAIN = {"aten.einsum.default": lambda a: len(a["tensors"]) != 2 or "->" not in a["equation"] or
         bool(re.search(r"\.|(\w)\w*\1", re.sub(r"[,>-]+", " ", a["equation"]))),
         "aten.softplus.default": lambda a: (a["beta"], a["threshold"]) != (1, 20),
         "aten.repeat_interleave.self_int": lambda a: a["dim"] is None,
         "aten.roll.default": lambda a: not a["dims"],
         "aten.linalg_vector_norm.default": lambda a: a["ord"] != 2,
         "aten.norm.ScalarOpt_dim": lambda a: a["p"] not in (2, None), "aten.norm.Scalar": lambda a: a["p"] not in (2, None)}


def listed(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def result_names(spec):
    """The names of what dictionaries, named tuples and classes of results hold; None of others."""
    context = spec.context
    if spec.type in (dict, OrderedDict):
        return context
    if dataclasses.is_dataclass(spec.type) and isinstance(context, list) and context and isinstance(context[0], list):
        return context[0]  # fields that are not None
    if isinstance(context, (list, tuple)) and len(context) == len(spec.children()) and all(isinstance(k, str) for k in context):
        return context
    return getattr(spec.type, "_fields", None)


class Reader(Places, Changes, Complex, Masks):
    def __init__(self, module, args, kwargs, name):
        self.module, self.args, self.kwargs = module, args, kwargs
        self.modules = dict(module.named_modules(remove_duplicate=False))
        self.steps, self.scopes, self.scope_of, self.lines, self.line_of = [], [], {}, [], {}
        self.parameters, self.constants, self.tensors, self.folded = {}, {}, {}, {}
        self.env, self.count, self.matrices = {}, 0, {}
        self.inputs, self.told, self.graphs = [], set(), []
        self.name = name or type(module).__name__

    # ---------------------------------------------------------------- tensors
    def made(self, fake, dtype=None):
        self.count += 1
        dtype = dtype or fake.dtype
        return Tensor(fake.shape, torch.float32 if dtype.is_complex else dtype, id=str(self.count))  # a part of complex ones

    def path_for(self, names, node):
        """The name of a parameter that begins with the path of the innermost module around: how its own struct calls it."""
        for _, path, _ in reversed(self.stack(node)):
            path = path.split("@")[0]
            inside = [n for n in names if n.startswith(path + ".")] if path else names
            if inside:
                return min(inside, key=len)
        return names[0]

    def reference(self, t, node, scope):
        """How a step refers to a tensor."""
        if t.stale:  # it is made again, of what its base has become
            base, name, arguments = t.alias
            made = Tensor(t.shape, t.dtype, id=self.next_id())
            self.step(f"aten.{name}", {**arguments, next(iter(arguments)): base}, [made], node)
            t.id, t.path, t.value, t.recipe, t.stale = made.id, None, None, None, False
        if t.path is not None:
            path = self.path_for(t.path, node)
            if path not in self.parameters:
                self.parameters[path] = {"shape": list(t.shape), "type": TYPES[t.dtype], "learned": isinstance(t.value, torch.nn.Parameter)}
                self.tensors[path] = t.value
            return "%p:" + path
        if t.id is not None:
            return "%" + t.id
        return self.constant(t, node, scope)

    def constant(self, t, node, scope):
        """A constant where it is used: a few numbers, a tensor in the file, or, if it is large and made of less, the steps that make it."""
        value = t.value.detach()
        if t.recipe and value.numel() > LARGE and not (value == value.flatten()[0]).all():
            op, arguments, outs, where, operands = t.recipe
            if op.split(".")[1] in EXPANDING and sum(o.value.numel() for o in operands) < value.numel() / 4:
                made = Tensor(t.shape, t.dtype, id=self.next_id())
                self.step(op, arguments, [made], where)
                t.id, t.recipe = made.id, None
                return "%" + made.id
        version = value._version
        if version in t.names:
            return "%c:" + t.names[version]
        id = t.names[version] = str(len(self.constants))
        entry = self.constants[id] = {"shape": list(value.shape), "type": TYPES[value.dtype], "scope": t.scope}
        flat = value.reshape(-1)
        if value.numel() and bool((flat == flat[0]).all()):
            entry["fill"] = flat[0].item()
        elif value.numel() <= FEW and (not value.dtype.is_floating_point or value.dim() == 1 and (value.numel() <= 8 or whole(value))):
            entry["values"] = flat.tolist()
        else:
            entry["file"] = True
            self.folded[id] = value.clone()
        return "%c:" + id

    def next_id(self):
        self.count += 1
        return str(self.count)

    # ---------------------------------------------------------------- steps
    def step(self, op, arguments, outs, node, name=None):
        scope = self.scope(node)
        for o in outs:
            if o.dtype not in TYPES:
                self.refuse(f"computes in {o.dtype}", node, "compute in float, and with complex numbers in torch.complex64")
        def refer(v):
            if isinstance(v, Tensor):
                return self.reference(v, node, scope)
            if isinstance(v, (list, tuple)):
                return [refer(x) for x in v]
            if isinstance(v, torch.dtype):
                return TYPES.get(v, str(v))
            if v is None or isinstance(v, (bool, int, float, str)):
                return v
            self.refuse(f"does not know what to do with the argument {v!r}", node)
        only_shape = ONLY_SHAPE.get(op.split(".")[1])
        entry = {"op": op, "in": {k: refer(v) for k, v in arguments.items() if k not in WHERE and k != only_shape},
                 "out": [[o.id, list(o.shape), TYPES[o.dtype]] for o in outs], "scope": scope, "line": self.line(node)}
        if name is None:
            name = self.named_in(self.frames(node), self.scopes[scope])
        if name:
            entry["name"] = name
        self.steps.append(entry)

    def value_of(self, v):
        """What a node's argument stands for."""
        if isinstance(v, torch.fx.Node):
            return self.env[v]
        if isinstance(v, (list, tuple)):
            return [self.value_of(x) for x in v]
        return v

    def normal_arguments(self, node):
        """All arguments by name, defaults too."""
        schema = node.target._schema
        arguments = {}
        for i, a in enumerate(schema.arguments):
            if i < len(node.args):
                v = node.args[i]
            elif a.name in node.kwargs:
                v = node.kwargs[a.name]
            elif a.has_default_value():
                v = a.default_value
            else:
                self.refuse(f"has no argument {a.name}", node)
            arguments[a.name] = self.value_of(v)
        for k in ("device", "layout", "memory_format"):
            if arguments.get(k) in (torch.sparse_coo, torch.sparse_csr):
                self.refuse("sparse tensors are not supported", node)
        return arguments

    def call(self, node):
        if node.target is operator.getitem:
            self.env[node] = self.value_of(node.args[0])[node.args[1]]
            return
        if not isinstance(node.target, torch._ops.OpOverload):
            if isinstance(node.meta.get("val"), SYMBOLS):
                if not self.only_asserted(node):
                    self.refuse("computes with a size that depends on the values of a tensor", node, FIXED_SIZE)
                return
            return self.higher_order(node)
        name = f"{node.target._schema.name.split('::')[1]}.{node.target._overloadname}"
        if name.startswith(("_assert", "sym_constrain")):
            self.env[node] = None
            return
        if name.startswith("sym_") and isinstance(node.meta.get("val"), SYMBOLS):
            if not self.only_asserted(node):
                self.refuse("computes with a size that depends on the values of a tensor", node, FIXED_SIZE)
            return
        arguments = self.normal_arguments(node)
        if self.chosen(node, name, arguments):
            return
        for fake in node.meta["val"] if isinstance(node.meta.get("val"), (list, tuple)) else [node.meta.get("val")]:
            if isinstance(fake, torch.Tensor) and any(not isinstance(e, int) for e in fake.shape):
                self.refuse("gives a tensor whose size depends on the values of another", node, FIXED_SIZE)
        if name.startswith(("sym_", "_functional_sym")) or name in ("detach_.default",):
            self.env[node] = tensors_in(arguments)[0] if tensors_in(arguments) else None
            return
        if pairs_in(arguments) or is_complex(node.meta.get("val")) and tensors_in(arguments) and not self.constants_only(arguments):
            self.env[node] = self.complex_call(node, name, arguments)
        else:
            self.perform(node, name, arguments)

    def only_asserted(self, node):
        """Whether nothing but assertions of the trace read a size."""
        return all(str(u.target).startswith(("aten._assert", "aten.sym_constrain")) or isinstance(u.meta.get("val"), SYMBOLS) and self.only_asserted(u)
                   for u in node.users)

    @staticmethod
    def constants_only(arguments):
        return all(t.value is not None and not isinstance(t.value, torch.nn.Parameter) for t in tensors_in(arguments))

    def perform(self, node, name, arguments):
        """A node's operation on real tensors: its own operands, or parts of them."""
        namespace = node.target.namespace
        leaves = tensors_in(arguments)
        mutated = [a.name for a in node.target._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if name.split(".")[0] in FILLED and not mutated:  # of the operand only shape and type are read
            fake = node.meta["val"]
            value = arguments.get("fill_value", FILLED[name.split(".")[0]])
            if not isinstance(value, Tensor):
                dtype = torch.float32 if fake.dtype.is_complex else fake.dtype
                self.env[node] = Tensor(fake.shape, dtype, value=torch.full(tuple(fake.shape), value, dtype=dtype), scope=self.scope(node))
                return
        random = torch.Tag.nondeterministic_seeded in node.target.tags and not name.startswith(NOT_IN_INFERENCE)
        if self.constants_only(arguments) and not random:
            return self.fold(node, name, arguments, mutated)
        if isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool)):
            self.refuse("takes a number out of a tensor", node, "keep it a tensor, without item(), tolist(), float() and int(): it may have no axes")
        op = f"{namespace}.{name}"
        if mutated:
            return self.in_place(node, name, arguments, mutated)
        made_of = self.decomposed(node, node.target, op, arguments)
        if made_of:
            self.env[node] = self.inside(*made_of)
            return
        if name in ("index.Tensor", "index_select.default"):
            self.count_from_the_front(name, arguments)
        if name.startswith(("alpha_dropout", "feature_alpha")) or name.startswith("feature_dropout") and len(leaves[0].shape) not in (3, 4, 5):
            self.told.add("Alpha dropout, and dropout of whole channels of what has none, do nothing here: training differs from PyTorch's")
        if name.startswith("batch_norm") and not isinstance(self.innermost(node), torch.nn.modules.batchnorm._BatchNorm):
            self.told.add("Batch norm that is no module of torch.nn takes the batch's statistics in training, whatever it does in PyTorch")
        if name.startswith("rrelu"):
            self.told.add("The slopes of RReLU are the mean of their bounds: training differs from PyTorch's")
        if random:
            self.told.add("It draws random numbers, other ones than PyTorch: the check cannot hold")
        fakes = node.meta["val"]
        several = isinstance(fakes, (list, tuple))
        outs = [self.made(f) for f in (fakes if several else [fakes]) if f is not None]
        self.step(op, arguments, outs, node)
        self.env[node] = outs if several else outs[0]
        self.note_alias(node, name, arguments, outs)

    def count_from_the_front(self, name, arguments):
        """Constant indices that count from the end, as others."""
        shape = arguments["self"].shape
        def front(t, axis):
            if isinstance(t, Tensor) and t.value is not None and t.dtype not in (torch.bool, torch.uint8) and t.value.numel() and t.value.min() < 0:
                made = Tensor(t.shape, t.dtype, value=torch.where(t.value < 0, t.value + shape[axis], t.value))
                made.scope = t.scope
                return made
            return t
        if name == "index.Tensor":
            arguments["indices"] = [front(t, axis) for axis, t in enumerate(arguments["indices"])]
        else:
            arguments["index"] = front(arguments["index"], arguments["dim"])

    def fold(self, node, name, arguments, mutated):
        """An operation on constants is computed now, in the order of the program; one in place changes the constant itself."""
        def real(v):
            if isinstance(v, Tensor):
                return v.value
            return [real(x) for x in v] if isinstance(v, (list, tuple)) else v
        given = {k: real(v) for k, v in arguments.items()}
        given = {k: torch.device("cpu") if k == "device" and v is not None else v for k, v in given.items()}
        positional = [a.name for a in node.target._schema.arguments if not a.kwarg_only]
        result = node.target(*(given[k] for k in positional), **{k: v for k, v in given.items() if k not in positional})
        def wrap(v):
            if isinstance(v, torch.Tensor):
                if "empty" in name:  # whatever stood in memory
                    v.zero_()
                if v.dtype.is_complex:
                    return self.pair_of(v, self.scope(node))
                t = Tensor(v.shape, v.dtype, value=v)
                t.scope = self.scope(node)
                if not mutated and isinstance(result, torch.Tensor):
                    t.recipe = (f"{node.target.namespace}.{name}", arguments, None, node, tensors_in(arguments))
                return t
            return [wrap(x) for x in v] if isinstance(v, (list, tuple)) else v
        self.env[node] = arguments[mutated[0]] if mutated else wrap(result)
        if mutated:
            self.env[node].shape = tuple(self.env[node].value.shape)
        if name in COPIES:  # a copy of a buffer stays what the checkpoint has, until it is changed
            self.env[node].path = arguments["self"].path
        changed = self.env[node] if mutated else None
        while changed is not None:
            self.keeps_nothing(changed)
            changed.path = None
            changed = changed.alias[0] if changed.alias else None
        if not mutated:
            self.note_alias(node, name, arguments, tensors_in(self.env[node]))
        if mutated:
            self.env[node].recipe = None

    # ---------------------------------------------------------------- operations made of others
    def decomposed(self, node, target, op, arguments):
        """For an operation that has no translation: what PyTorch itself makes it of, if all of that has one (a graph and its operands)."""
        if op in TABLE and not (op in PLAIN and PLAIN[op](arguments)):
            return None
        leaves = tensors_in(arguments)
        def run(*tensors):
            left = iter(tensors)
            def put(v):
                if isinstance(v, Tensor):
                    return next(left)
                return [put(x) for x in v] if isinstance(v, (list, tuple)) else v
            given = {k: put(v) for k, v in arguments.items()}
            positional = [given.pop(a.name) for a in target._schema.arguments if not a.kwarg_only]
            return target(*positional, **given)
        table = {o: f for o, f in torch._decomp.core_aten_decompositions().items() if full_name(o) not in TABLE}
        if target in torch._decomp.decomposition_table:
            table[target] = torch._decomp.decomposition_table[target]
        try:
            with torch.no_grad(), quiet(), torch.backends.mkldnn.flags(enabled=False):  # whose LSTM would not be taken apart
                inner = make_fx(run, decomposition_table=table, tracing_mode="fake")(*[torch.empty(t.shape, dtype=t.dtype) for t in leaves])
        except Exception:  # it is refused by the name that the network has it under
            return None
        in_float = not any(t.dtype in OTHER_FLOATS for t in leaves)  # else it is refused for that
        fixed = {p for p, t in zip(inner.graph.nodes, leaves) if t.value is not None and not isinstance(t.value, torch.nn.Parameter)}
        for n in inner.graph.nodes:
            values = n.meta.get("val")
            if any(isinstance(v, torch.Tensor) and v.dtype not in TYPES for v in (values if isinstance(values, (list, tuple)) else [values])):
                return None
            n.meta.update({k: node.meta[k] for k in ("nn_module_stack", "stack_trace") if k in node.meta})
            if n.op == "get_attr" or n.op == "call_function" and all(a in fixed for a in n.all_input_nodes):
                fixed.add(n)
            elif n.op == "call_function" and n.target is not operator.getitem and functional(full_name(n.target)) not in TABLE:
                return None
            elif n.op == "call_function" and in_float and isinstance(values, torch.Tensor) and values.dtype in OTHER_FLOATS:
                return None
        return inner.graph, leaves

    def inside(self, graph, values):
        """The results of a graph in place of an operation."""
        self.graphs.append(graph.owning_module)
        self.env.update(zip([n for n in graph.nodes if n.op == "placeholder"], values))
        return self.walk(graph)

    # ---------------------------------------------------------------- graphs in graphs
    def higher_order(self, node):
        """The regions of no_grad and autocast are graphs of their own: their nodes are taken in."""
        name = str(node.target)
        if "set_grad_enabled" in name or "inference_mode" in name:
            graph, operands = node.args[1], node.args[2:]
        elif "autocast" in name:
            if node.args[2]:
                self.refuse("autocast changes the precision of what stands inside", node, "export the network without autocast")
            graph, operands = node.args[4], node.args[5:]
        else:
            self.refuse("is control flow or an operation of higher order, as vmap is", node, "write it with tensor operations")
        inner = getattr(node.graph.owning_module, graph.target)
        results = self.inside(inner.graph, [self.value_of(o) for o in operands])
        self.env[node] = [self.stopped(r, node) for r in results] if "set_grad" in name and not node.args[0] else results

    def stopped(self, t, node):
        """A result of a region of no_grad: no gradient goes through it."""
        if isinstance(t, Pair):
            return Pair(*(self.stopped(p, node) for p in t.parts))
        if not isinstance(t, Tensor) or t.value is not None or not t.dtype.is_floating_point:
            return t
        made = Tensor(t.shape, t.dtype, id=self.next_id())
        arguments = {"self": t}
        self.step("aten.detach.default", arguments, [made], node)
        made.alias = (t, "detach.default", arguments)
        return made

    def walk(self, graph):
        for node in graph.nodes:
            if node.op == "call_function":
                try:
                    self.call(node)
                except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
                    self.refuse(f"stops the exporter ({type(e).__name__}: {str(e)[:200]})", node, "report it with this message")
            elif node.op == "get_attr":
                value = graph.owning_module
                for part in node.target.split("."):
                    value = getattr(value, part)
                self.env[node] = self.pair_of(value) if is_complex(value) else \
                    Tensor(value.shape, value.dtype, value=value) if isinstance(value, torch.Tensor) else value
            elif node.op == "output":
                return self.value_of(node.args[0])

    # ---------------------------------------------------------------- the whole
    def read(self):
        module = self.module
        for path, m in self.modules.items():
            if isinstance(m, torch.jit.ScriptModule):
                raise Refused("is TorchScript", path=path or "(the network itself)", remedy="export the module of Python that it was made of")
        for path, p in module.named_parameters():
            if p.dtype in OTHER_FLOATS:
                raise Refused(f"its parameter {path} has numbers of type {p.dtype}", path=path.rpartition(".")[0], remedy="export the network in float: net.float()")
        self.drop_paths = patched = mark_drop_paths(module)
        functions = set()
        try:
            with own_derivatives(functions):
                program = exported(module, self.args, self.kwargs)
        except Refused:
            raise
        except Exception as e:
            raise explained(e) from e
        finally:
            for m in patched:
                del m.forward
        self.told.update(f"{f} has derivatives of its own in PyTorch, here those of its forward: training differs" for f in functions)
        names = {}
        for path, p in [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]:
            names.setdefault(id(p), []).append(path)
        own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
        self.scopes.append({"parent": -1, "path": "", "class": f"{type(module).__module__}.{type(module).__qualname__}", "name": ""})
        kinds = {s.arg.name: s for s in program.graph_signature.input_specs if hasattr(s.arg, "name")}
        copies = {}
        given = torch.utils._pytree.tree_leaves((self.args, self.kwargs))
        for node in program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec, fake = kinds[node.name], node.meta.get("val")
            kind = spec.kind.name
            if kind in ("PARAMETER", "BUFFER"):
                p = own[spec.target] if spec.target in own else program.state_dict[spec.target]
                value = p if kind == "PARAMETER" else copies.setdefault(id(p), p.detach().clone())
                path = names.get(id(p), [spec.target])
                if p.dtype.is_complex:
                    value = torch.view_as_real(p.detach()).clone()
                    value = copies.setdefault((id(p), "real"), torch.nn.Parameter(value, p.requires_grad) if kind == "PARAMETER" else value)
                    self.env[node] = Stored(Tensor(value.shape, value.dtype, path=path, value=value))
                    self.told.add("Complex parameters are real ones here, with an axis of two more: real and imaginary part")
                    continue
                self.env[node] = Tensor(p.shape, p.dtype, path=path, value=value)
                self.env[node].buffer = kind == "BUFFER"
            elif kind == "CONSTANT_TENSOR":
                value = program.constants[spec.target]
                if is_complex(value):
                    self.env[node] = self.pair_of(value)
                    continue
                known = names.get(id(value))
                self.env[node] = Tensor(value.shape, value.dtype, value=value.detach().clone()) if not known else \
                    Tensor(value.shape, value.dtype, path=known, value=value.detach().clone())
            elif kind == "USER_INPUT":
                if not isinstance(fake, torch.Tensor):
                    self.env[node] = given[len(self.inputs)] if fake is None else fake
                    continue
                t = self.env[node] = self.made(fake)
                if is_complex(fake):
                    raise Refused(f"its input {node.name} is complex", remedy="give real numbers: let the network begin with torch.view_as_complex")
                self.inputs.append({"name": node.name, "shape": list(t.shape), "type": TYPES[t.dtype], "id": t.id})
            else:
                raise Refused(f"{node.name}, of kind {kind}, is no tensor", remedy="make it, and the tensors that come of it, in __init__")
        for spec in program.graph_signature.output_specs:
            if spec.kind.name == "USER_INPUT_MUTATION":
                raise Refused("the network changes its input in place", remedy="let it work on a copy: x = x.clone()")
        results = self.walk(program.graph)
        wanted = [s.kind.name == "USER_OUTPUT" for s in program.graph_signature.output_specs]
        flat = [r for r, w in zip(results, wanted) if w]
        self.results(flat, program)
        return self.description(flat, program)

    def results(self, flat, program):
        output = next(n for n in program.graph.nodes if n.op == "output")
        for r in flat:
            if isinstance(r, Masked):
                self.refuse("gives a tensor whose size depends on the values of another", r.node, FIXED_SIZE)
        if any(isinstance(r, (Pair, Stored)) for r in flat):
            raise Refused("the network gives complex numbers", remedy="return torch.view_as_real of them")
        if not any(isinstance(r, Tensor) for r in flat):
            raise Refused("the network gives no tensor", remedy="return what forward computes")
        if any(r is not None and not isinstance(r, Tensor) for r in flat):
            self.told.add("Results that are no tensors are left out")
        for r in flat:
            if isinstance(r, Tensor) and r.stale:
                self.reference(r, output, 0)
            if isinstance(r, Tensor) and r.id is None:
                made = Tensor(r.shape, r.dtype, id=self.next_id())
                self.step("aten.clone.default", {"self": r}, [made], output)
                r.id = made.id

    def description(self, flat, program):
        def structure(spec, values):
            if spec.is_leaf():
                v = values.pop(0)
                return "%" + v.id if isinstance(v, Tensor) else None
            inner = [structure(c, values) for c in spec.children()]
            keys = result_names(spec)
            return {"dict": dict(zip(map(str, keys), inner))} if keys else {"list": inner}
        results = structure(program.call_spec.out_spec, list(flat))
        cls = type(self.module)
        used, steps = set(references(results)), []
        for s in reversed(self.steps):  # what no result comes from is left out, with its parameters
            if any("%" + o[0] in used for o in s["out"]):
                used.update(references(s["in"]))
                steps.append(s)
        return {"name": self.name, "origin": f"{cls.__module__}.{cls.__qualname__}", "inputs": self.inputs, "scopes": self.scopes,
                "steps": steps[::-1], "parameters": {k: v for k, v in self.parameters.items() if "%p:" + k in used},
                "constants": {k: v for k, v in self.constants.items() if "%c:" + k in used},
                "results": results, "lines": self.lines, "notes": self.notes()}

    def notes(self):
        """Modules that behave otherwise in training, in a way that the exported operations do not show."""
        found = []
        read = {p: t for p, t in self.tensors.items() if isinstance(t, torch.nn.Parameter)}
        fixed = [p for p, t in read.items() if not t.requires_grad]
        if fixed:
            self.told.add(f"Not trained in PyTorch (requires_grad = False), but here, unless their rate is 0: {listed(fixed)}")
        once = {id(t): p for p, t in reversed(read.items())}
        tied = [f"{p} with {once[id(t)]}" for p, t in read.items() if once[id(t)] != p]
        if tied:
            self.told.add(f"One parameter in PyTorch, which training moves apart here: {listed(tied)}")
        for path, m in self.modules.items():
            cls = type(m)
            self.told.update(f"{what}: training differs from PyTorch's" for what, holds in OTHER_TRAINING.items() if holds(m))
            if cls.__module__.startswith("torch.nn") or m in self.drop_paths or getattr(m, DROP_PATHS.get(cls.__name__, ""), None) == 0:
                continue
            try:
                text = inspect.getsource(cls.forward)
            except (OSError, TypeError):
                continue
            if re.search(r"\bself\.training\b", text) and cls.__name__ not in found:
                found.append(cls.__name__)
        return sorted(self.told) + [f"{c} asks self.training: what is written here is its inference" for c in found]


def read(module, args, kwargs=None, name=None):
    """The description of `module` for example inputs, its tensors {path: Tensor} and its folded constants {id: Tensor}. In inference."""
    args = tuple(args) if isinstance(args, (list, tuple)) else (args,)
    # one tensor given for two inputs is two: in a trace it would be the second of them everywhere
    args, kwargs = copied((args, kwargs or {}))
    with inference(module):
        run_once(module, args, kwargs)
        reader = Reader(module, args, kwargs, name)
        return reader.read(), reader.tensors, reader.folded
