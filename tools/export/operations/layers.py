"""Convolutions, normalisations, dropout."""

from expressions import E, axes, binary, call, literal, number, numbers, option, reshape, scalar, shape
from operation import Layer, batch_of_one, each, spatial, spatial_axes, translates, volume


# ------------------------------------------------------------------ convolutions





def options(prefix, stride, padding, dilation, groups, output_padding=None):
    parts = [option(f", {prefix}stride<{numbers(stride, 'stride', 1)}>"), option(f", {prefix}padding<{numbers(padding, 'padding', 0)}>")]
    if output_padding is not None:
        parts.append(option(f", {prefix}output_padding<{numbers(output_padding, 'padding', 0)}>"))
    parts += [option(f", {prefix}dilation<{numbers(dilation, 'dilation', 1)}>"), option(f", {prefix}groups<{number(groups, 'groups', 1)}>")]
    return "".join(parts)


@translates("conv1d.default", "conv2d.default", "conv3d.default", "conv1d.padding", "conv2d.padding", "conv3d.padding")
@batch_of_one("input", lambda o: spatial_axes(o) + 2)
def convolution(o):
    n = spatial_axes(o)
    x, w, b = o.tensor("input"), o.tensor("weight"), o.optional("bias")
    stride, dilation, groups = each(o.take("stride"), n), each(o.take("dilation"), n), o.take("groups")
    padding = o.take("padding")
    kernel = w.shape[2:]
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        padding = [t // 2 for t in total]
        if any(t % 2 for t in total):  # the odd element behind
            padding = [v for t in total for v in (t // 2, t - t // 2)]
    padding = each(padding, n)
    outputs, inputs = w.shape[0], w.shape[1] * groups
    type = (f"nn::conv{n}d<{number(inputs, 'in')}, {number(outputs, 'out')}, nn::kernel<{numbers(kernel, 'kernel')}>"
            f"{options('nn::', stride, padding, dilation, groups)}{'' if b else ', nn::no_bias'}>")
    def otherwise():
        v, extents = volume(x, n)
        bank = reshape(w.e, w.shape[:2] + spatial(kernel, n, 1), w.shape)
        wide = [0] * (3 - n) * (len(padding) // n) + padding
        text = options("", spatial(stride, n, 1), wide, spatial(dilation, n, 1), groups)
        y = E(f"conv3d({v.text}, {bank.text}{', ' + b.e.text if b else ''}{text})")
        return reshape(y, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


@translates("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
@batch_of_one("input", lambda o: spatial_axes(o) + 2)
def conv_transpose(o):
    n = spatial_axes(o)
    x, w, b = o.tensor("input"), o.tensor("weight"), o.optional("bias")
    stride, dilation, groups = each(o.take("stride"), n), each(o.take("dilation"), n), o.take("groups")
    padding, more = each(o.take("padding"), n), each(o.take("output_padding"), n)
    kernel = w.shape[2:]
    def otherwise():
        v, extents = volume(x, n)
        bank = reshape(w.e, w.shape[:2] + spatial(kernel, n, 1), w.shape)
        text = options("", spatial(stride, n, 1), spatial(padding, n, 0), spatial(dilation, n, 1), groups, spatial(more, n, 0))
        y = E(f"conv_transpose3d({v.text}, {bank.text}{', ' + b.e.text if b else ''}{text})")
        return reshape(y, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    if n < 3:
        return otherwise()
    type = (f"nn::conv_transpose3d<{number(w.shape[0], 'in')}, {number(w.shape[1] * groups, 'out')}, nn::kernel<{numbers(kernel, 'kernel')}>"
            f"{options('nn::', stride, padding, dilation, groups, more)}{'' if b else ', nn::no_bias'}>")
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


# ------------------------------------------------------------------ normalisations
def eps_option(value, usual=1e-5):
    return "" if value == usual else f", nn::eps<{value!r}>"


def affinely(e, w, b, view):
    """e * w + b with w and b seen as `view`."""
    if w is not None:
        e = binary("*", e, reshape(w.e, view, w.shape))
    return e if b is None else binary("+", e, reshape(b.e, view, b.shape))


@translates("batch_norm.default")
def batch_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    mean, variance = o.optional("running_mean"), o.optional("running_var")
    eps, momentum = o.take("eps"), o.take("momentum")
    o.ignore("cudnn_enabled")
    c, n = x.shape[1], x.rank - 2
    view = [c] + [1] * n
    if o.take("training"):
        if mean is not None:
            o.refuse("batch norm in training mode that keeps running statistics", "export in inference: net.eval()")
        over_ = [0, *range(2, x.rank)]
        centred = E(f"({x.e.within(2)} - mean({x.e.text}, {axes(over_)}, keepdims))")
        v = call("mean", call("square", centred), axes(over_), "keepdims")
        return affinely(binary("*", centred, call("rsqrt", binary("+", v, scalar(eps)))), w, b, view)
    if (w is None) != (b is None) or mean is None:
        o.refuse("batch norm with a weight and no bias")
    def otherwise():
        scale = call("rsqrt", binary("+", reshape(variance.e, view, variance.shape), scalar(eps)))
        return affinely(E(f"({x.e.within(2)} - {reshape(mean.e, view, mean.shape).text}) * {scale.text}", 2), w, b, view)
    if n > 3:
        return otherwise()
    n = max(n, 1)  # (N, C) is lines of one number
    extra = eps_option(eps) + ("" if momentum == 0.1 else f", nn::momentum<{momentum!r}>") + ("" if w else ", nn::affine<false>")
    return Layer(f"nn::batch_norm{n}d<{number(c, 'channels')}{extra}>", x,
                 {"weight": w, "bias": b, "running_mean": mean, "running_var": variance}, otherwise)


@translates("instance_norm.default")
def instance_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    mean, variance = o.optional("running_mean"), o.optional("running_var")
    eps = o.take("eps")
    o.ignore("cudnn_enabled", "momentum")
    c, n = x.shape[1], x.rank - 2
    view = [c] + [1] * n
    if not o.take("use_input_stats"):
        scale = call("rsqrt", binary("+", reshape(variance.e, view, variance.shape), scalar(eps)))
        return affinely(E(f"({x.e.within(2)} - {reshape(mean.e, view, mean.shape).text}) * {scale.text}", 2), w, b, view)
    if mean is not None:
        o.refuse("instance norm that keeps running statistics", "export in inference: net.eval()")
    if w is not None and b is None:
        o.refuse("instance norm with a weight and no bias")
    base = f"nn::instance_norm3d<{number(c, 'channels')}" if n == 3 else f"nn::group_norm<{number(c, 'channels')}, {number(c, 'channels')}"
    plain = base + eps_option(eps) + ("" if n == 3 else ", nn::affine<false>") + ">"
    def otherwise():
        return affinely(E(f"{plain}{{}}({x.e.text})"), w, b, view)
    type = base + eps_option(eps) + (", nn::affine<true>" if n == 3 else "") + ">" if w else plain
    return Layer(type, x, {"weight": w, "bias": b}, otherwise)


@translates("group_norm.default")
def group_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    groups, eps = o.take("num_groups"), o.take("eps")
    o.ignore("cudnn_enabled")
    base = f"nn::group_norm<{number(groups, 'groups')}, {number(x.shape[1], 'channels')}{eps_option(eps)}"
    def otherwise():
        return affinely(E(f"{base}, nn::affine<false>>{{}}({x.e.text})"), w, b, [x.shape[1]] + [1] * (x.rank - 2))
    if w is not None and b is not None:
        return Layer(base + ">", x, {"weight": w, "bias": b}, otherwise)
    return otherwise() if w is not None else Layer(base + ", nn::affine<false>>", x)


@translates("layer_norm.default")
def layer_norm(o):
    x, w, b = o.tensor("input"), o.optional("weight"), o.optional("bias")
    last, eps = o.take("normalized_shape"), o.take("eps")
    o.ignore("cudnn_enable")
    base = f"nn::layer_norm<{number(last[0], 'channels') if len(last) == 1 else shape(last)}{eps_option(eps)}"
    def otherwise():
        e = E(f"{base}, nn::affine<false>>{{}}({x.e.text})")
        e = binary("*", e, w.e) if w is not None else e
        return binary("+", e, b.e) if b is not None else e
    if w is not None and b is not None:
        return Layer(base + ">", x, {"weight": w, "bias": b}, otherwise)
    return otherwise() if w is not None else Layer(base + ", nn::affine<false>>", x)


@translates("rms_norm.default")
def rms_norm(o):
    x, w = o.tensor("input"), o.optional("weight")
    last, eps = o.take("normalized_shape"), o.take("eps")
    eps = 2.0 ** -23 if eps is None else eps
    base = f"nn::rms_norm<{number(last[0], 'channels') if len(last) == 1 else shape(last)}{eps_option(eps, 2.0 ** -23)}"
    plain = f"{base}, nn::affine<false>>"
    if w is None:
        return Layer(plain, x)
    return Layer(base + ">", x, {"weight": w}, lambda: binary("*", E(f"{plain}{{}}({x.e.text})"), w.e))


@translates("dropout.default", "feature_dropout.default", "native_dropout.default")
def dropout(o):
    x, p = o.tensor("input" if "input" in o.left else "self"), o.take("p")
    if o.take("train"):
        o.refuse("drops numbers in inference too", "give training=self.training, or use the module nn.Dropout")
    if p == 0:
        return x.e
    kind = "dropout"
    if o.name_of_place in ("DropPath", "StochasticDepth"):
        kind = "drop_path"
    elif "feature" in o.op:
        kind = "dropout3d"
        if x.rank in (3, 4):  # lines and planes, as volumes
            v, extents = volume(x, x.rank - 2)
            return reshape(E(f"nn::named<\"drop_{o.place}\", nn::dropout3d<{literal(p)}>>{{}}({v.text})"), x.shape, extents)
        if x.rank != 5:
            return x.e
    return Layer(f"nn::{kind}<{literal(p)}>", x)


@translates("alpha_dropout.default", "feature_alpha_dropout.default")
def alpha_dropout(o):
    o.take("train", False), o.ignore("p")
    return o.tensor("input" if "input" in o.left else "self").e
