"""Changes in place: what x.relu_() means for x, and for all that shares its memory."""
import copy

import torch

from reading.tensor import Tensor, functional, tensors_in


OTHER_SHAPES = ("squeeze_", "unsqueeze_", "transpose_", "swapaxes_", "swapdims_", "t_")  # they change what x is, not its numbers


class Changes:
    """Of a Reader, which makes steps (made, step, next_id) and refuses."""

    IDENTITIES = ("dropout.default", "feature_dropout.default", "alpha_dropout.default", "to.dtype", "to.device", "to.dtype_layout", "contiguous.default",
                  "relu_.default", "alias.default", "detach.default", "type_as.default")
    RESHAPES = ("view.default", "reshape.default", "flatten.using_ints", "unflatten.int", "ravel.default", "view_as.default", "reshape_as.default",
                "unsqueeze.default", "squeeze.default", "squeeze.dim", "squeeze.dims")

    def shares_memory(self, node):
        """Whether the first result is a view of the first operand: reshape and contiguous copy where they must."""
        def first(v):
            v = v[0] if isinstance(v, (list, tuple)) and v else v
            return v.meta.get("val") if isinstance(v, torch.fx.Node) else v
        made, source = first(node.meta.get("val")), first(node.args[0] if node.args else None)
        if not isinstance(made, torch.Tensor) or not isinstance(source, torch.Tensor):
            return False
        try:
            return made.untyped_storage()._cdata == source.untyped_storage()._cdata
        except NotImplementedError:
            self.refuse("has a tensor without memory of its own, as sparse ones and those inside of torch.func are", node, "compute with dense tensors")

    def note_alias(self, node, name, arguments, outs):
        if not self.shares_memory(node):
            return
        returns = node.target._schema.returns
        source = next(iter(arguments.values()), None)
        annotated = len(returns) == 1 and returns[0].alias_info is not None
        if annotated and str(returns[0].type) == "List[Tensor]":  # pieces along an axis
            dim, at = arguments["dim"] % len(source.shape), 0
            for i, o in enumerate(outs):
                if name.startswith("unbind"):
                    o.alias = (source, "select.int", {"self": source, "dim": dim, "index": i})
                else:
                    o.alias = (source, "slice.Tensor", {"self": source, "dim": dim, "start": at, "end": at + o.shape[dim], "step": 1})
                    at += o.shape[dim]
        elif len(outs) == 1 and isinstance(source, Tensor) and (annotated or name in self.IDENTITIES):
            outs[0].alias = (source, name, arguments)

    def keeps_nothing(self, t):
        if t.buffer:
            self.told.add("What a run writes into its buffers is not there in the next: each run is the first")

    def in_place(self, node, name, arguments, mutated):
        """x.relu_() is a new tensor that takes x's place, and its part's place in whatever x is a view of."""
        target = arguments[mutated[0]]
        op = functional(f"aten.{name}")
        if name.split(".")[0] in OTHER_SHAPES:
            return self.seen_otherwise(node, op, arguments, target)
        _, packet, overload = op.split(".")
        same = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        made_of = same and self.decomposed(node, same, op, arguments)
        if made_of:
            made = self.inside(*made_of)
        else:
            made = self.made(node.meta["val"], target.dtype)
            self.step(op, arguments, [made], node)
        self.env[node] = self.replace(target, made, node)

    def seen_otherwise(self, node, op, arguments, target):
        """x.unsqueeze_(1) is a view of what x was; other views of that stay what they are."""
        before = copy.copy(target)
        for t in tensors_in(list(self.env.values())):
            if t.alias and t.alias[0] is target:
                t.alias = (before, *t.alias[1:])
        arguments = {**arguments, "self": before}
        made = self.made(node.meta["val"], target.dtype)
        self.step(op, arguments, [made], node)
        target.id, target.path, target.value, target.recipe, target.stale, target.shape = made.id, None, None, None, False, made.shape
        target.alias = (before, op.removeprefix("aten."), arguments)
        self.env[node] = target

    def replace(self, old, new, node):
        """Everything that stands for `old` stands for `new` from now on."""
        root, chain = old, [old]
        while root.alias:
            root = root.alias[0]
            chain.append(root)
        value = new
        self.keeps_nothing(root)
        for t in chain:
            before = (t.alias, t.shape)
            t.id, t.path, t.value, t.recipe, t.shape = value.id, None, None, None, value.shape
            if not before[0]:
                break
            base, name, arguments = before[0]
            if name == "narrow.default":
                name, first = "slice.Tensor", arguments["start"] % base.shape[arguments["dim"]]
                arguments = {"self": base, "dim": arguments["dim"], "start": first, "end": first + arguments["length"], "step": 1}
            if name in ("select.int", "slice.Tensor"):
                made = Tensor(base.shape, base.dtype, id=self.next_id())
                scatter = {"self": Tensor(base.shape, base.dtype, base.id, base.path, base.value), "src": Tensor(t.shape, t.dtype, t.id),
                           **{k: v for k, v in arguments.items() if k != "self"}}
                self.step("aten.select_scatter.default" if name[:3] == "sel" else "aten.slice_scatter.default", scatter, [made], node)
                value = made
            elif name in self.IDENTITIES or name.startswith("expand") and t.shape == base.shape:
                value = Tensor(t.shape, t.dtype, id=t.id)
            elif name in ("permute.default", "transpose.int", "swapaxes.default", "swapdims.default", "t.default", "numpy_T.default", "mT.default"):
                n = len(base.shape)
                order = [a % n for a in arguments["dims"]] if "dims" in arguments else list(range(n))
                if n > 1 and "dims" not in arguments:
                    a, b = (arguments.get(f"dim{i}", arguments.get(f"axis{i}", i - 2)) % n for i in (0, 1))
                    order[a], order[b] = b, a
                if name[0] == "n":
                    order = list(range(n))[::-1]
                value = Tensor(base.shape, base.dtype, id=self.next_id())
                self.step("aten.permute.default", {"self": Tensor(t.shape, t.dtype, t.id), "dims": [order.index(a) for a in range(n)]}, [value], node)
            elif name in self.RESHAPES:
                value = Tensor(base.shape, base.dtype, id=self.next_id())
                self.step("aten.view.default", {"self": Tensor(t.shape, t.dtype, t.id), "size": list(base.shape)}, [value], node)
            else:
                self.refuse(f"changes a view ({name}) of another tensor in place", node, "write it without the in-place operation")
        for t in tensors_in([v for v in self.env.values()]):
            way = [t]
            while way[-1].alias and way[-1] not in chain:
                way.append(way[-1].alias[0])
            if way[-1] in chain:
                for between in way[:-1]:
                    between.stale, between.value, between.path = True, None, None
        return old
