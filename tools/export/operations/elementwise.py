"""Element by element; types and copies."""
import math

from expressions import E, binary, call, literal, negative, number, scalar, shape
from operation import LIMITS, WHOLE, Layer, Operand, axis_of, in_range, scaled, translates


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


SIMPLE = {"log2": lambda x: binary("*", call("log", x), scalar(1 / math.log(2))), "log10": lambda x: binary("*", call("log", x), scalar(1 / math.log(10))),
          "exp2": lambda x: call("exp", binary("*", x, scalar(math.log(2)))), "tan": lambda x: binary("/", call("sin", x), call("cos", x)),
          "erfc": lambda x: binary("-", E("1_c"), call("erf", x)),
          "sinh": lambda x: binary("/", binary("-", call("expm1", x), call("expm1", negative(x))), E("2_c")),
          "cosh": lambda x: binary("/", binary("+", call("exp", x), call("exp", negative(x))), E("2_c")),
          "asinh": lambda x: binary("*", call("sign", x), call("log1p", binary("+", call("abs", x), binary(
              "/", call("square", x), binary("+", E("1_c"), call("sqrt", binary("+", call("square", x), E("1_c")))))))),
          "atanh": lambda x: binary("/", binary("-", call("log1p", x), call("log1p", negative(x))), E("2_c")),
          "acosh": lambda x: call("log", binary("+", x, call("sqrt", binary("*", E(f"({x.within(3)} - 1_c)"), E(f"({x.within(3)} + 1_c)"))))),
          "signbit": lambda x: E(f"({binary('<', x, E('0_c')).text})"),
          "isnan": lambda x: binary("-", E("1_c"), call("equal", x, x)), "isinf": lambda x: call("equal", call("abs", x), scalar(math.inf)),
          "isfinite": lambda x: E(f"({binary('<', call('abs', x), scalar(math.inf)).text})")}
for f, made in SIMPLE.items():
    def formula(o, made=made):
        return made(o.tensor("self").e)
    translates(f"{f}.default")(formula)


@translates("neg.default")
def neg(o):
    return negative(o.tensor("self").e)


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


def floored(e):
    return call("floor", e)


def truncated(e):
    return binary("*", call("sign", e), floored(call("abs", e)))


@translates("div.Tensor_mode", "div.Scalar_mode")
def div_mode(o):
    quotient = binary("/", o.value("self").e, o.value("other").e)
    mode = o.take("rounding_mode", None, "floor", "trunc")
    return quotient if mode is None else floored(quotient) if mode == "floor" else truncated(o.named(quotient))


@translates("floor_divide.default", "floor_divide.Tensor", "floor_divide.Scalar")
def floor_divide(o):
    return floored(binary("/", o.value("self").e, o.value("other").e))


@translates("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor", "fmod.Tensor", "fmod.Scalar")
def remainder(o):
    a, b = o.named(o.value("self").e), o.named(o.value("other").e)
    whole = (floored if "remainder" in o.op else truncated)(binary("/", a, b))
    return binary("-", a, binary("*", whole, b))


@translates("ceil.default")
def ceil(o):
    return negative(floored(negative(o.tensor("self").e)))


@translates("trunc.default", "fix.default")
def trunc(o):
    return truncated(o.named(o.tensor("self").e))


@translates("round.default")
def rounded(o):
    """Halves to the even neighbour: what is half-way between 2k and 2k + 1 goes to 2k, between 2k + 1 and 2k + 2 to 2k + 2."""
    x = o.named(o.tensor("self").e)
    even = binary("*", E("2_c"), floored(E(f"{x.within(2)} * 0.5_c + 0.5_c", 3)))
    rest = binary("-", x, floored(x))
    return call("select", call("equal", rest, E("0.5_c")), even, E(f"{floored(x).text} + (0.5_c < {rest.text})", 3))


@translates("round.decimals")
def rounded_to(o):
    scale = scalar(10.0 ** o.take("decimals"))
    o.left["self"] = Operand(None, E(f"({binary('*', o.tensor('self').e, scale).text})"), o.out, o.type)
    return binary("/", rounded(o), scale)


@translates("hypot.default")
def hypot(o):
    return call("sqrt", binary("+", call("square", o.tensor("self").e), call("square", o.tensor("other").e)))


@translates("rrelu.default")
def rrelu(o):
    """In inference the slope is the mean of its bounds."""
    o.take("training", False), o.ignore("generator")
    return simple(o, "leaky_relu", literal((o.take("lower") + o.take("upper")) / 2))


@translates("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Tensor", "pow.Scalar")
def power(o):
    a = o.value("self")
    b = o.value("exponent")
    if b.ref is None and b.e.text == "2_c":
        return call("square", a.e)
    return call("power", a.e, b.e)


@translates("maximum.default", "minimum.default", "max.other", "min.other")
def extreme(o):
    return call("maximum" if "max" in o.op else "minimum", o.tensor("self").e, o.tensor("other").e)


@translates("copysign.Tensor", "copysign.Scalar")
def copysign(o):
    """The sign of a zero is not told from +."""
    a, b = o.value("self"), o.value("other")
    return binary("*", call("abs", a.e), call("select", E(f"({binary('<', b.e, E('0_c')).text})"), E("constant<-1>"), E("1_c")))


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


@translates(*(f"{name}.{overload}" for f in ("and", "or", "xor")
              for name, overload in ((f"logical_{f}", "default"), (f"bitwise_{f}", "Tensor"), (f"__{f}__", "Tensor"), (f, "Tensor"))))
def logical(o):
    a, b = o.tensor("self"), o.tensor("other")
    if "logical" not in o.op and (a.type != "BOOL" or b.type != "BOOL"):
        o.refuse("combines whole numbers bit by bit", "use masks, or torch.logical_and and the like if any number but 0 is true")
    a, b = (x.e if x.type == "BOOL" else in_range(x.e, "BOOL") for x in (a, b))
    if "xor" in o.op:
        return binary("-", E("1_c"), call("equal", a, b))
    return binary("*", a, b) if "and" in o.op else call("maximum", a, b)


@translates("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(o):
    c = o.tensor("condition")
    a, b = o.value("self"), o.value("other")
    return call("select", c.e, a.e, b.e)


@translates("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(o):
    x, mask, v = o.tensor("self"), o.tensor("mask"), o.value("value")
    return call("select", mask.e, v.e, x.e)


@translates("clamp.Tensor", "clamp_min.Tensor", "clamp_max.Tensor")
def clamp_by(o):
    e = o.tensor("self").e
    low, high = (o.optional(n) if n in o.left else None for n in ("min", "max"))
    e = e if low is None else call("maximum", e, low.e)
    return e if high is None else call("minimum", e, high.e)


@translates("clamp.default", "clamp_min.default", "clamp_max.default")
def clamp(o):
    x = o.tensor("self")
    low = o.take("min") if "min" in o.left else None
    high = o.take("max") if "max" in o.left else None
    if high is None:
        return call("at_least", x.e, scalar(low))
    return call("clamp", x.e, scalar(-math.inf if low is None else low), scalar(high))


# ------------------------------------------------------------------ types and copies
@translates("detach.default")
def detach(o):
    return call("stop_gradient", o.tensor("self").e)


@translates("clone.default", "contiguous.default", "alias.default", "lift_fresh_copy.default", "lift_fresh.default",
            "resolve_conj.default")
def same(o):
    o.ignore("memory_format", "other")
    return o.tensor("self").e


@translates("to.dtype", "to.device", "to.other", "to.dtype_layout", "_to_copy.default", "type_as.default", "to.prim_dtype")
def cast(o):
    o.ignore("dtype", "copy", "other", "pin_memory", "device")
    return converted(o, o.tensor("self"))


def converted(o, x):
    """x as the type of the result."""
    if o.type == "BOOL" and x.type != "BOOL" or o.type in LIMITS and x.type in WHOLE and x.type not in (o.type, "BOOL"):
        return in_range(o.named(x.e), o.type)
    if o.type in WHOLE and x.type not in WHOLE:
        if o.type not in ("I64", "I32"):
            o.refuse(f"makes numbers of type {o.type} of real ones", "use long() or torch.floor")
        return truncated(o.named(x.e))
    return x.e


@translates("copy.default")
def copy(o):
    src = o.tensor("src")
    o.ignore("self", "non_blocking")
    e = converted(o, src)
    return e if src.shape == o.out else call("broadcast_to", e, shape(o.out))


@translates("fill.Scalar", "zero.default", "zeros_like.default", "ones_like.default", "full_like.default", "new_zeros.default", "new_ones.default")
def fill(o):
    v = o.take("value") if "value" in o.left else o.take("fill_value") if "fill_value" in o.left else 1 if "ones" in o.op else 0
    o.ignore("self", "dtype", "size", "pin_memory")
    v = bool(v) if o.type == "BOOL" else int(v) if o.type in WHOLE else v
    return E(f"constant<{', '.join([literal(v), *(number(e, 'extent') for e in o.out)])}>")
