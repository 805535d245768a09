"""Pieces of C++ text. Numbers that may become template parameters are marked: what they are ("channels"), their value, and the value that
goes without saying; structure.py decides which are parameters and takes the marks out."""
import math
import re

MARK = re.compile("\x01([a-z]*)=(-?[0-9]+)\\?([^\x02]*)\x02")
OPTION = re.compile("\x03([^\x03\x04]*)\x04")

# Functions of volute that generated bodies call: names that members and variables must not hide.
FUNCTIONS = set("""abs adaptive_avg_pool3d adaptive_max_pool3d arange argmax avg_pool3d axes axis broadcast_to circular_pad3d celu clamp concat constant
conv3d conv_transpose3d cos elu embedding equal erf exp expm1 flatten floor gather gelu gelu_tanh glu grid_sample hardshrink hardsigmoid hardswish
hardtanh indices interpolate kernel keepdims leaky_relu linear log log1p log_softmax logsigmoid matmul max_pool3d maximum mean minimum mish mse named_result
negative nn norm one_hot outputs pad padding parameter per_channel pixel_shuffle power prelu range reciprocal reflect_pad3d relu relu6 replicate_pad3d
reshape roll rsqrt scale_factor select selu shape sigmoid sign silu sin slice softmax softmin softplus softshrink softsign sqrt square state std stride
sum take tanh tanhshrink threshold transpose upsample zero_pad3d output_size dilation groups trilinear nearest cubic align_corners expression invoke
volute input training inference stop_gradient normal_noise same valid causal attention attn_bias attn_mask attn_scale divisor count_include_pad ceil_mode
alignas alignof and asm auto bitand bitor bool break case catch char class compl concept const consteval constexpr constinit continue default delete do
double else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not nullptr operator or private
protected public register requires return short signed sizeof static struct switch template this throw true try typedef typeid typename union unsigned
using virtual void volatile while xor
and_eq char8_t char16_t char32_t co_await co_return co_yield const_cast dynamic_cast not_eq or_eq reinterpret_cast static_assert static_cast
thread_local wchar_t xor_eq
NULL EOF NAN INFINITY BUFSIZ RAND_MAX M_PI M_E M_SQRT2 I errno assert stdin stdout stderr""".split())


def number(value, role="", default=None):
    """A whole number that may differ between modules of one class."""
    return f"\x01{role}={int(value)}?{'' if default is None else default}\x02"


def numbers(values, role="", default=None):
    """One number where all are equal, else all: the spelling of options."""
    values = list(values)
    if all(v == values[0] for v in values):
        values = values[:1]
    return ", ".join(number(v, role, default) for v in values)


def option(text):
    """Left out where all its numbers are what goes without saying."""
    return f"\x03{text}\x04"


class E:
    """An expression: its text and how tightly it binds (0: a name or call; 1: unary; 2: product; 3: sum; 4: comparison)."""

    def __init__(self, text, level=0, reshaped=None):
        self.text, self.level, self.reshaped = text, level, reshaped

    def within(self, level):
        return self.text if self.level <= level else f"({self.text})"


def call(function, *arguments):
    return E(f"{function}({', '.join(a.text if isinstance(a, E) else a for a in arguments)})")


def binary(sign, a, b):
    level = {"*": 2, "/": 2, "+": 3, "-": 3}.get(sign, 4)
    return E(f"{a.within(level)} {sign} {b.within(level - 1)}", level)


def negative(e):
    return E("-" + e.within(0), 1)


def scalar(value):
    """A number in an expression."""
    value = float(value)
    if math.isinf(value):
        return E(f"constant<{'-' if value < 0 else ''}std::numeric_limits<double>::infinity()>")
    if math.isnan(value):
        return E("constant<std::numeric_limits<double>::quiet_NaN()>")
    text = repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    if value < 0 or len(text) > 8:
        return E(f"constant<{text}>")
    return E(text + "_c")


def literal(value):
    """A number as a template argument."""
    value = float(value)
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}std::numeric_limits<double>::infinity()"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def shape(extents):
    return f"shape<{', '.join(number(e, 'extent') for e in extents)}>"


def axes(values):
    return f"axes<{', '.join(map(str, values))}>"


def reshape(x, extents, known):
    """x with other extents; `known` are its own. A reshape of a reshape is one."""
    if list(extents) == list(known):
        return x
    inner = x.reshaped or x
    return E(f"reshape({inner.text}, {shape(extents)})", reshaped=inner)
