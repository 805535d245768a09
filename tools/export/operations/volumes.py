"""Pools, sizes and borders; random numbers."""
import itertools
import math

from expressions import E, binary, call, number, numbers, option, reshape, scalar, shape
from .layers import options
from operation import Layer, Operand, batch_of_one, each, part, permuted, spatial, spatial_axes, translates, volume


# ------------------------------------------------------------------ pools, sizes, borders
def pooled(o, n, x, kernel, stride, padding, dilation, extra):
    function = ("max" if "max" in o.op else "avg") + "_pool3d"
    stride = each(stride, n) if stride else list(kernel)
    def text(prefix, wide):
        k, s, p, d = (spatial(v, n, r) if wide else v for v, r in ((kernel, 1), (stride, 1), (padding, 0), (dilation, 1)))
        parts = "" if s == k else f", {prefix}stride<{numbers(s, 'stride')}>"
        parts += option(f", {prefix}padding<{numbers(p, 'padding', 0)}>")
        return parts + (option(f", {prefix}dilation<{numbers(d, 'dilation', 1)}>") if "max" in o.op else "")
    def otherwise():
        v, extents = volume(x, n)
        e = E(f"{function}({v.text}, kernel<{numbers(spatial(kernel, n, 1), 'kernel')}>{text('', True)}{extra('')})")
        return reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    square = all(k == kernel[0] for k in kernel)
    if n < 3 and not square:
        return otherwise()
    base = f"nn::{function[:-2]}{n}d<" + (number(kernel[0], "kernel") if square else f"0, nn::kernel<{numbers(kernel, 'kernel')}>")
    return Layer(base + text("nn::", False) + extra("nn::") + ">", x, otherwise=otherwise)


@translates("max_pool1d.default", "max_pool2d.default", "max_pool3d.default", "max_pool3d_with_indices.default", "max_pool2d_with_indices.default")
@batch_of_one("self", lambda o: spatial_axes(o) + 2)
def max_pool(o):
    n = spatial_axes(o)
    x, kernel, stride = o.tensor("self"), each(o.take("kernel_size"), n), o.take("stride")
    padding, dilation, ceil = each(o.take("padding"), n), each(o.take("dilation"), n), o.take("ceil_mode")
    result = pooled(o, n, x, kernel, stride, padding, dilation, lambda prefix: f", {prefix}ceil_mode" if ceil else "")
    def places():
        """Where the maxima are in their volumes, as PyTorch counts: of windows that stand side by side."""
        beyond = any(padding) or any(w * k > e for w, k, e in zip(o.out[2:], kernel, x.shape[2:]))
        if stride and each(stride, n) != kernel or beyond or any(d != 1 for d in dilation):
            o.refuse("gives the places of the maxima of windows that overlap or go beyond the border, which are used",
                     "pool with a stride that is the kernel and no padding; or go back up with interpolate or a transposed convolution")
        v, extents = volume(x, n)
        taps, windows = spatial(kernel, n, 1), spatial(o.out[2:], n, 1)
        v = cropped(v, extents, [w * k for w, k in zip(windows, taps)])
        split = extents[:2] + [e for pair in zip(windows, taps) for e in pair]
        rows = permuted(Operand(None, reshape(v, split, []), split, x.type), [0, 1, 2, 4, 6, 3, 5, 7])
        rows = reshape(rows, extents[:2] + windows + [math.prod(taps)], [])
        steps = [math.prod(extents[a + 1:]) for a in (2, 3, 4)]
        inner = [sum(i * s for i, s in zip(at, steps)) for at in itertools.product(*map(range, taps))]
        e = call("take", f"indices<{', '.join(map(str, inner))}>", "axis<0>", call("argmax", rows, "axis<5>"))
        for a in range(3):
            if windows[a] > 1:
                first = binary("*", E(f"arange<{windows[a]}>"), scalar(taps[a] * steps[a]))
                e = binary("+", e, reshape(first, [windows[a]] + [1] * (2 - a), [windows[a]]))
        return reshape(e, o.out, extents[:2] + windows)
    return [result, places] if len(o.outs) == 2 else result


def cropped(v, extents, size):
    """The beginning of each spatial axis of a volume."""
    for a, n in enumerate(size, 2):
        v = part(Operand(None, v, extents[:2] + size[:a - 2] + extents[a:], "F32"), a, 0, n)
    return v


@translates("max_unpool2d.default", "max_unpool3d.default")
def max_unpool(o):
    """Each number where the maximum of its window was, zeros around."""
    n = spatial_axes(o)
    x, i, size = o.tensor("self"), o.tensor("indices"), o.take("output_size")
    o.ignore("stride", "padding")
    pool = o.program.step_of.get(i.ref)
    kernel = each(pool["in"]["kernel_size"], n) if pool and "max_pool" in pool["op"] else None
    if not kernel or x.rank != n + 2 or list(size) != list(o.program.shape_of[pool["in"]["self"]][0][2:]) or i.shape != x.shape:
        o.refuse("goes back up by places that no max_pool of a tensor of its result's extents gave",
                 "use the indices of the max_pool, and give output_size")
    taps = spatial(kernel, n, 1)
    up = [call("upsample", volume(p, n)[0], f"scale_factor<{numbers(taps, 'scale')}>") for p in (i, x)]
    whole = spatial(size, n, 1)
    wide = [w * k for w, k in zip(spatial(x.shape[2:], n, 1), taps)]
    here = reshape(E(f"arange<{math.prod(whole)}>"), whole, [math.prod(whole)])
    here = here if wide == whole else reshape(cropped(reshape(here, [1, 1] + whole, whole), [1, 1] + whole, wide), wide, [1, 1] + wide)
    e = call("select", call("equal", up[0], here), up[1], E("0_c"))
    if wide != whole:
        e = call("zero_pad3d", e, f"padding<{six_numbers([v for a, b in zip(wide, whole) for v in (0, b - a)])}>")
    return reshape(e, o.out, o.out[:2] + whole)


@translates("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
@batch_of_one("self", lambda o: spatial_axes(o) + 2)
def avg_pool(o):
    n = spatial_axes(o)
    x, kernel, stride = o.tensor("self"), each(o.take("kernel_size"), n), o.take("stride")
    padding, ceil, inside = each(o.take("padding"), n), o.take("ceil_mode"), o.take("count_include_pad")
    divisor = o.take("divisor_override") if "divisor_override" in o.left else None
    def extra(prefix):
        return ((f", {prefix}ceil_mode" if ceil else "") + (f", {prefix}count_include_pad<false>" if not inside and any(padding) else "") +
                (f", {prefix}divisor<{divisor}>" if divisor else ""))
    return pooled(o, n, x, kernel, stride, padding, [1] * n, extra)


@translates("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool3d.default", "adaptive_max_pool1d.default",
            "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
@batch_of_one("self", lambda o: spatial_axes(o) + 2)
def adaptive_pool(o):
    kind = "max" if "max" in o.op else "avg"
    n = spatial_axes(o)
    x, size = o.tensor("self"), each(o.take("output_size"), n)
    size = [e if s is None else s for s, e in zip(size, x.shape[2:])]
    def otherwise():
        v, extents = volume(x, n)
        e = E(f"adaptive_{kind}_pool3d({v.text}, output_size<{numbers(spatial(size, n, 1), 'extent')}>)")
        return reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    result = Layer(f"nn::adaptive_{kind}_pool3d<{numbers(size, 'extent')}>", x, otherwise=otherwise) if n == 3 else otherwise()
    return [result, None] if len(o.outs) == 2 else result


@translates(*(f"upsample_{m}.{v}" for m in ("nearest1d", "nearest2d", "nearest3d", "_nearest_exact", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
              for v in ("vec", "default")), *(f"_upsample_nearest_exact{n}d.{v}" for n in (1, 2, 3) for v in ("vec", "default")))
def upsample(o):
    name = o.op.split(".")[1]
    n = int(name[-2])
    x = o.tensor("input" if "input" in o.left else "self")
    o.ignore("output_size")  # the result has it
    factors = o.take("scale_factors") if "scale_factors" in o.left else [o.left.pop(k) for k in ("scales_d", "scales_h", "scales_w", "scales") if k in o.left]
    corners = o.take("align_corners") if "align_corners" in o.left else False
    mode = "cubic" if "cubic" in name else "trilinear" if "linear" in name else "nearest_exact" if "exact" in name else "nearest"
    if not factors or any(f is None for f in factors):
        factors = None
    before, after = x.shape[2:], o.out[2:]
    whole = [b // a if a and b % a == 0 else 0 for a, b in zip(before, after)]
    exact = all(w > 0 and (factors is None or factors[i] == w) for i, w in enumerate(whole))
    flags = ("" if mode == "nearest" else ", {0}" + mode) + (", {0}align_corners" if corners else "")
    def written(prefix):
        wide = lambda v, r: spatial(v, n, r)
        option_ = flags.format(prefix)
        scale = "scale" if prefix else "scale_factor"
        if exact and mode in ("nearest", "trilinear"):
            return "upsample", f"{prefix}{scale}<{numbers(wide(whole, 1), 'scale')}>{option_}"
        if factors is None or corners:
            return "interpolate", f"{prefix}output_size<{numbers(wide(after, 1), 'extent')}>{option_ or f', {prefix}nearest'}"
        return "interpolate", f"{prefix}{scale}<{', '.join(repr(float(f)) for f in wide(factors, 1))}>{option_ or f', {prefix}nearest'}"
    def otherwise():
        function, arguments = written("")
        v, extents = volume(x, n)
        return reshape(E(f"{function}({v.text}, {arguments})"), o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    if n < 3:
        return otherwise()
    function, arguments = written("nn::")
    return Layer(f"nn::{function}<{arguments}>", x, otherwise=otherwise)


@translates("pad.default", "constant_pad_nd.default", "reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default",
            "replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
@batch_of_one("self", lambda o: 0 if o.left.get("mode", "constant") == "constant" else len(o.left["pad"]) // 2 + 2)
def pad(o):
    x = o.tensor("self")
    amounts = o.take("pad" if "pad" in o.left else "padding")
    mode = o.take("mode", "constant", "reflect", "replicate", "circular") if "mode" in o.left else \
        "constant" if "constant" in o.op else "reflect" if "reflection" in o.op else "replicate"
    value = o.take("value") if "value" in o.left else 0
    value = value or 0
    low, high = [0] * x.rank, [0] * x.rank
    for i in range(len(amounts) // 2):
        low[x.rank - 1 - i], high[x.rank - 1 - i] = amounts[2 * i], amounts[2 * i + 1]
    cropped, extents = x.e, list(x.shape)
    for a in range(x.rank):
        if low[a] < 0 or high[a] < 0:
            here = Operand(None, cropped, extents, x.type)
            start, stop = max(0, -low[a]), extents[a] - max(0, -high[a])
            cropped = part(here, a, start, stop)
            extents[a] = stop - start
    low, high = [max(0, v) for v in low], [max(0, v) for v in high]
    x = Operand(None, cropped, extents, x.type)
    if not any(low) and not any(high):
        return x.e
    n = x.rank - 2
    six = [v for a in range(2, x.rank) for v in (low[a], high[a])]
    if mode == "constant":
        if n == 3 and value == 0 and not any(low[:2]) and not any(high[:2]):
            return Layer(f"nn::zero_pad3d<{six_numbers(six)}>", x, otherwise=lambda: call("zero_pad3d", x.e, f"padding<{six_numbers(six)}>"))
        zeros = [f"shape<{', '.join(number(v, 'padding') for v in side)}>" for side in (low, high)]
        return call("pad", x.e, *zeros, *([] if value == 0 else [scalar(value)]))
    if n not in (1, 2, 3) or any(low[:2]) or any(high[:2]):
        o.refuse(f"pads batch or channels by {mode}")
    v, wide = volume(x, n)
    text = six_numbers([0, 0] * (3 - n) + six)
    e = call(f"{mode}_pad3d", v, f"padding<{text}>")
    e = reshape(e, o.out, o.out[:2] + [1] * (3 - n) + o.out[2:])
    return Layer(f"nn::{mode}_pad3d<{text}>", x, otherwise=lambda: e) if n == 3 else e


def six_numbers(six):
    if all(v == six[0] for v in six):
        six = six[:1]
    elif all(six[2 * i] == six[2 * i + 1] for i in range(3)):
        six = six[::2]
    return ", ".join(number(v, "padding") for v in six)


@translates("col2im.default")
@batch_of_one("self", lambda o: 3)
def fold(o):
    """The transposed convolution whose filters have one 1 each."""
    x, size, kernel = o.tensor("self"), o.take("output_size"), o.take("kernel_size")
    dilation, padding, stride = o.take("dilation"), o.take("padding"), o.take("stride")
    window = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    blocks = [(n + 2 * p - w) // s + 1 for n, p, w, s in zip(size, padding, window, stride)]
    left = [n - ((b - 1) * s - 2 * p + w) for n, b, s, p, w in zip(size, blocks, stride, padding, window)]
    c, taps = o.out[1], math.prod(kernel)
    ones = reshape(E(f"one_hot<{taps}>(arange<{taps}>)"), [1, taps, 1, 1, *kernel], [taps, taps])
    bank = reshape(call("broadcast_to", ones, shape([c, taps, 1, 1, *kernel])), [c * taps, 1, 1, *kernel], [c, taps, 1, 1, *kernel])
    text = options("", spatial(stride, 2, 1), spatial(padding, 2, 0), spatial(dilation, 2, 1), c, spatial(left, 2, 0))
    v = reshape(x.e, [x.shape[0], c * taps, 1, *blocks], x.shape)
    return reshape(E(f"conv_transpose3d({v.text}, {bank.text}{text})"), o.out, o.out[:2] + [1] + o.out[2:])


@translates("pixel_shuffle.default", "pixel_unshuffle.default")
def pixel_shuffle(o):
    x = o.tensor("self")
    if x.rank < 3:
        o.refuse("pixel shuffle of a tensor that is not (..., C, H, W)")
    f = "pixel_unshuffle" if "un" in o.op else "pixel_shuffle"
    factor = o.take("upscale_factor" if "upscale_factor" in o.left else "downscale_factor")
    n = math.prod(x.shape[:-3])
    wide = lambda e: [n, e[-3], 1, *e[-2:]]
    return reshape(call(f, reshape(x.e, wide(x.shape), x.shape), f"scale_factor<1, {factor}, {factor}>"), o.out, wide(o.out))


@translates("grid_sampler.default", "grid_sampler_2d.default", "grid_sampler_3d.default")
def grid_sampler(o):
    x, grid = o.tensor("input"), o.tensor("grid")
    mode, border, corners = o.take("interpolation_mode", 0, 1), o.take("padding_mode", 0, 1, 2), o.take("align_corners")
    flags = (", nearest" if mode == 1 else "") + ["", ", border_padding", ", reflection_padding"][border] + (", align_corners" if corners else "")
    if x.rank == 5:
        return E(f"grid_sample({x.e.text}, {grid.e.text}{flags})")
    v, _ = volume(x, 2)  # of depth 1, where 0 is the middle
    n, h, w, _ = grid.shape
    places = call("concat", "axis<4>", reshape(grid.e, [n, 1, h, w, 2], grid.shape), f"constant<0, {n}, 1, {h}, {w}, 1>")
    return reshape(E(f"grid_sample({v.text}, {places.text}{flags})"), o.out, o.out[:2] + [1] + o.out[2:])


# ------------------------------------------------------------------ random numbers
@translates("randn_like.default", "randn.default", "rand_like.default", "rand.default")
def noise(o):
    o.ignore("self", "size", "dtype", "pin_memory", "generator")
    kind = "normal" if "randn" in o.op else "uniform"
    return E(f"{kind}_noise<\"noise_{o.place}\", {', '.join(number(e, 'extent') for e in o.out)}>")
