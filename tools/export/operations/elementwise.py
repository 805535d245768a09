"""Element by element; types and copies."""
import math

from expressions import E, binary, call, literal, number, scalar, shape
from operation import Layer, axis_of, scaled, translates


# ------------------------------------------------------------------ element by element
for f in "relu abs sqrt rsqrt exp expm1 log log1p sin cos tanh erf sigmoid floor reciprocal square silu mish hardswish hardsigmoid relu6 selu".split():
    def unary(o, f=f):
        return simple(o, f)
    translates(f"{f}.default")(unary)


def simple(o, function, arguments="", x=None):
    x = x or o.tensor("self")
    text = function + (f"<{arguments}>" if arguments else "")
    layers = ("relu silu mish hardswish hardsigmoid relu6 selu sigmoid tanh gelu gelu_tanh leaky_relu elu celu hardtanh softplus logsigmoid "
              "hardshrink softshrink threshold").split()
    if function in layers:
        return Layer("nn::" + text, x, otherwise=lambda: call(text, x.e))
    return call(text, x.e)


@translates("neg.default")
def neg(o):
    return E("-" + o.tensor("self").e.within(1), 1)


@translates("sign.default", "sgn.default")
def sign(o):
    return call("sign", o.tensor("self").e)


@translates("log_sigmoid.default")
def log_sigmoid(o):
    return simple(o, "logsigmoid")


@translates("gelu.default")
def gelu(o):
    return simple(o, "gelu" if o.take("approximate", "none", "tanh") == "none" else "gelu_tanh")


@translates("leaky_relu.default")
def leaky_relu(o):
    slope = o.take("negative_slope")
    return simple(o, "leaky_relu", literal(slope))


@translates("elu.default")
def elu(o):
    o.take("scale", 1), o.take("input_scale", 1)
    return simple(o, "elu", literal(o.take("alpha")))


@translates("celu.default")
def celu(o):
    return simple(o, "celu", literal(o.take("alpha")))


@translates("hardtanh.default")
def hardtanh(o):
    return simple(o, "hardtanh", f"{literal(o.take('min_val'))}, {literal(o.take('max_val'))}")


@translates("hardshrink.default", "softshrink.default")
def shrink(o):
    return simple(o, "hardshrink" if "hard" in o.op else "softshrink", literal(o.take("lambd")))


@translates("threshold.default")
def threshold(o):
    return simple(o, "threshold", f"{literal(o.take('threshold'))}, {literal(o.take('value'))}")


@translates("softplus.default")
def softplus(o):
    o.take("beta", 1), o.take("threshold", 20)  # beyond 20 log(1 + e^x) is x in float
    return simple(o, "softplus")


@translates("prelu.default")
def prelu(o):
    x, w = o.tensor("self"), o.tensor("weight")
    n = math.prod(w.shape)
    return Layer(f"nn::prelu<{number(n, 'channels')}>" if n != 1 else "nn::prelu<>", x, {"weight": w}, lambda: call("prelu", x.e, w.e))


@translates("glu.default")
def glu(o):
    x = o.tensor("self")
    axis = axis_of(o, o.take("dim"), x.rank)
    return Layer(f"nn::glu<{axis}>", x, otherwise=lambda: call("glu", x.e, f"axis<{axis}>"))



@translates("add.Tensor", "add.Scalar")
def add(o):
    a, b = o.value("self"), o.value("other")
    return binary("+", a.e, scaled(o, b.e, o.take("alpha")))


@translates("sub.Tensor", "sub.Scalar")
def sub(o):
    a, b = o.value("self"), o.value("other")
    return binary("-", a.e, scaled(o, b.e, o.take("alpha")))


@translates("rsub.Scalar", "rsub.Tensor")
def rsub(o):
    a, b = o.value("self"), o.value("other")
    return binary("-", b.e, scaled(o, a.e, o.take("alpha")))


@translates("mul.Tensor", "mul.Scalar")
def mul(o):
    return binary("*", o.value("self").e, o.value("other").e)


@translates("div.Tensor", "div.Scalar", "true_divide.Tensor")
def div(o):
    a, b = o.value("self"), o.value("other")
    return binary("/", a.e, b.e)


@translates("div.Tensor_mode")
def div_mode(o):
    a, b = o.value("self"), o.value("other")
    mode = o.take("rounding_mode", None, "floor")
    return call("floor", binary("/", a.e, b.e)) if mode else binary("/", a.e, b.e)


@translates("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def power(o):
    a = o.value("self")
    b = o.value("exponent")
    if b.ref is None and b.e.text == "2_c":
        return call("square", a.e)
    return call("power", a.e, b.e)


@translates("maximum.default", "minimum.default", "max.other", "min.other")
def extreme(o):
    return call("maximum" if "max" in o.op else "minimum", o.tensor("self").e, o.tensor("other").e)


for f, sign_ in {"lt": "<", "gt": ">", "le": "<=", "ge": ">="}.items():
    def compare(o, sign_=sign_):
        return E(f"({binary(sign_, o.value('self').e, o.value('other').e).text})")
    translates(f"{f}.Tensor", f"{f}.Scalar")(compare)


@translates("eq.Tensor", "eq.Scalar")
def eq(o):
    return call("equal", o.value("self").e, o.value("other").e)


@translates("ne.Tensor", "ne.Scalar")
def ne(o):
    return binary("-", E("1_c"), call("equal", o.value("self").e, o.value("other").e))


@translates("logical_not.default", "bitwise_not.default")
def logical_not(o):
    x = o.tensor("self")
    if "bitwise" in o.op and x.type != "BOOL":
        o.refuse("inverts the bits of whole numbers")
    return call("equal", x.e, E("0_c"))


@translates("logical_and.default", "bitwise_and.Tensor", "logical_or.default", "bitwise_or.Tensor")
def logical(o):
    a, b = o.tensor("self"), o.tensor("other")
    if a.type != "BOOL" or b.type != "BOOL":
        o.refuse("combines whole numbers bit by bit")
    return binary("*", a.e, b.e) if "_and" in o.op else call("maximum", a.e, b.e)


@translates("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(o):
    c = o.tensor("condition")
    a, b = o.value("self"), o.value("other")
    return call("select", c.e, a.e, b.e)


@translates("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(o):
    x, mask, v = o.tensor("self"), o.tensor("mask"), o.value("value")
    return call("select", mask.e, v.e, x.e)


@translates("clamp.default", "clamp_min.default", "clamp_max.default")
def clamp(o):
    x = o.tensor("self")
    low = o.take("min") if "min" in o.left else None
    high = o.take("max") if "max" in o.left else None
    if high is None:
        return call("at_least", x.e, scalar(low))
    return call("clamp", x.e, scalar(-math.inf if low is None else low), scalar(high))


# ------------------------------------------------------------------ types and copies
@translates("clone.default", "contiguous.default", "detach.default", "alias.default", "lift_fresh_copy.default", "lift_fresh.default",
            "resolve_conj.default", "view_as.default")
def same(o):
    o.ignore("memory_format", "other")
    return o.tensor("self").e


WHOLE = ("I64", "I32", "I16", "I8", "U8", "BOOL")


@translates("to.dtype", "to.device", "to.other", "to.dtype_layout", "_to_copy.default", "type_as.default", "to.prim_dtype")
def cast(o):
    x = o.tensor("self")
    o.ignore("dtype", "copy", "other", "pin_memory", "device")
    if o.type == "BOOL" and x.type != "BOOL":
        return binary("-", E("1_c"), call("equal", x.e, E("0_c")))
    if o.type in WHOLE and x.type not in WHOLE:
        o.refuse("makes whole numbers of real ones", "round explicitly, with torch.floor")
    return x.e


@translates("copy.default")
def copy(o):
    x, src = o.tensor("self"), o.tensor("src")
    o.ignore("non_blocking")
    return src.e if src.shape == x.shape else call("broadcast_to", src.e, shape(x.shape))


@translates("fill.Scalar", "zero.default", "zeros_like.default", "ones_like.default", "full_like.default", "new_zeros.default", "new_ones.default")
def fill(o):
    v = o.take("value") if "value" in o.left else o.take("fill_value") if "fill_value" in o.left else 1 if "ones" in o.op else 0
    o.ignore("self", "dtype", "size", "pin_memory")
    return E(f"constant<{scalar(v).text.removesuffix('_c') if v >= 0 else literal(v)}, {', '.join(number(e, 'extent') for e in o.out)}>")
