// The functions on volumes that the language knows (see ops/functions.hpp for what a function is): convolution, its transpose, pooling.
#pragma once

#include <volute/ops/functions.hpp>

#include <initializer_list>

namespace volute::ops {

/// Depth, height, width. Three fields and no array: that is how it stays short in messages.
struct triple {
  std::int64_t d = 1, h = 1, w = 1;
  constexpr std::int64_t operator[](int i) const { return i == 0 ? d : i == 1 ? h : w; }
  constexpr std::int64_t& operator[](int i) { return i == 0 ? d : i == 1 ? h : w; }
  constexpr operator extents() const { return make_extents(d, h, w); }  // so that messages print it
  friend constexpr bool operator==(const triple&, const triple&) = default;
};
constexpr bool any_below(const triple& t, std::int64_t least) { return t[0] < least || t[1] < least || t[2] < least; }

/// What an option becomes that gives neither one number nor three.
constexpr std::int64_t miscounted_mark = -1'000'000;
constexpr triple miscounted(std::size_t count) { return {miscounted_mark, static_cast<std::int64_t>(count), 0}; }
/// And one that gives a fraction, here in thousandths: 2.0 counts as 2.
constexpr std::int64_t fraction_mark = miscounted_mark - 1;
constexpr inferred check_counts(const line& who, std::initializer_list<triple> options) {
  for (const triple& t : options) {
    if (t.d == miscounted_mark) return refuse(line(who) << " wants 1 or 3 numbers", line("got ") << t.h);
    if (t.d == fraction_mark) return refuse(line(who) << " wants whole numbers", line("got ") << static_cast<double>(t.h) / 1000);
  }
  return {};
}

/// An option that says what one before it said; its place, counted from 1, or 0.
constexpr inferred check_said_once(const line& who, int again) {
  if (again > 0) return refuse(line(who) << ": an option once", line("got option ") << again << " again");
  return {};
}

/// No stride, dilation, padding or kernel is larger.
constexpr std::int64_t most_option = std::int64_t{1} << 28;

/// How the border is padded. `same` keeps the extent at stride 1 (the odd element on the high side); `causal` is `same` with all of time's
/// padding before; `same_upper` gives ceil(extent / stride) for any stride, as TensorFlow's SAME.
enum class border : std::int8_t { explicit_amounts, same, causal, same_upper };
/// All of the padding of an axis with which ceil(n / stride) windows fit.
constexpr std::int64_t same_total(std::int64_t n, std::int64_t stride, std::int64_t span) {
  if (stride < 1) return 0;
  const std::int64_t total = ((n + stride - 1) / stride - 1) * stride + span - n;
  return total > 0 ? total : 0;
}

/// What can be said of a convolution apart from its operands.
struct conv_options {
  triple stride{}, dilation{}, lo{0, 0, 0}, hi{0, 0, 0};
  triple output_padding{0, 0, 0};  // conv_transpose3d only
  std::int64_t groups = 1;
  border mode = border::explicit_amounts;
  int again = 0;  // the place of an option that says what one before it said

  /// The padding that is meant, given the kernel and, for same_upper, the input.
  constexpr conv_options resolved(const triple& kernel, const extents& x) const {
    if (mode != border::same_upper) return resolved(kernel);
    conv_options o = *this;
    for (int a = 0; a < 3; ++a) {
      const std::int64_t total = same_total(x[2 + a], stride[a], dilation[a] * (kernel[a] - 1) + 1);
      o.lo[a] = total / 2, o.hi[a] = total - total / 2;
    }
    o.mode = border::explicit_amounts;
    return o;
  }
  constexpr conv_options resolved(const triple& kernel) const {
    conv_options o = *this;
    if (mode == border::explicit_amounts) return o;
    for (int a = 0; a < 3; ++a) {
      const std::int64_t total = dilation[a] * (kernel[a] - 1);
      o.lo[a] = mode == border::causal && a == 0 ? total : total / 2;
      o.hi[a] = total - o.lo[a];
    }
    o.mode = border::explicit_amounts;
    return o;
  }
};

/// The checks that convolution and its transpose share; "" where all is well.
constexpr inferred check_options(line who, const conv_options& o, const triple& kernel) {
  if (o.lo.d == miscounted_mark) return refuse(who << ": 1, 3 or 6 paddings", line("got ") << o.lo.h);
  if (const inferred r = check_counts(who, {kernel, o.stride, o.dilation, o.output_padding, o.lo}); !r.ok()) return r;
  if (any_below(o.stride, 1)) return refuse(who << " wants stride >= 1", line("got ") << o.stride);
  if (any_below(o.dilation, 1)) return refuse(who << " wants dilation >= 1", line("got ") << o.dilation);
  if (o.groups < 1) return refuse(who << " wants groups >= 1", line("got ") << o.groups);
  if (any_below(kernel, 1)) return refuse(who << " wants kernel >= 1", line("got ") << kernel);
  if (any_below(o.lo, 0) || any_below(o.hi, 0)) return refuse(who << " wants padding >= 0", line("got ") << o.lo << " and " << o.hi);
  for (const triple& t : {kernel, o.stride, o.dilation, o.lo, o.hi, o.output_padding})  // products of two of them still are 64-bit numbers
    for (int a = 0; a < 3; ++a)
      if (t[a] > most_option) return refuse(who << " wants numbers <= 2^28", line("got ") << t[a]);
  return {};
}

/// Cross-correlation: x (N, C, D, H, W), w (O, C / groups, KD, KH, KW), or w (N, O, C / groups, KD, KH, KW), one bank a sample.
struct conv3d {
  conv_options options{};

  constexpr inferred infer(const extents* x, int) const {
    const line who("conv3d");
    const extents a = x[0], w = x[1];
    if (a.rank != 5) return refuse(line(who) << " wants rank 5 (N,C,D,H,W)", line("got ") << a);
    if (w.rank != 5 && w.rank != 6) return refuse(line(who) << " wants weights of rank 5", line("got ") << w);
    const int first = w.rank - 5;
    if (first == 1 && w[0] != a[0]) return refuse(line(who) << " wants " << a[0] << " filter banks", line("got ") << w[0] << " in " << w);
    const triple kernel{w[first + 2], w[first + 3], w[first + 4]};
    if (const inferred r = check_said_once(who, options.again); !r.ok()) return r;
    const bool strided_time = options.stride[0] > 1 && options.mode != border::causal;  // causal padding does not depend on the stride
    const bool fixed = options.mode != border::explicit_amounts && options.mode != border::same_upper;
    if (fixed && (strided_time || options.stride[1] > 1 || options.stride[2] > 1))
      return refuse(line(who) << " padding same: stride 1", line("got stride ") << options.stride);
    if (const inferred r = check_options(who, options, kernel); !r.ok()) return r;
    const conv_options o = options.resolved(kernel, a);
    const std::int64_t in = a[1], out = w[first];
    if (in % o.groups != 0) return refuse(line(who) << " wants channels / groups", line("got ") << in << " channels, groups " << o.groups);
    if (out % o.groups != 0) return refuse(line(who) << " wants outputs / groups", line("got ") << out << " outputs, groups " << o.groups);
    if (w[first + 1] * o.groups != in)
      return refuse(line(who) << " wants " << w[first + 1] * o.groups << " channels", line("got ") << in << " in " << a);
    extents r = make_extents(a[0], out, 0, 0, 0);
    for (int i = 0; i < 3; ++i) {
      const std::int64_t room = a[2 + i] + o.lo[i] + o.hi[i], span = o.dilation[i] * (kernel[i] - 1) + 1;
      if (span > room) {
        line got("got ");
        got << kernel;
        if (o.dilation[i] > 1) got << " dilated " << o.dilation[i];
        return refuse(line(who) << " wants kernel <= input", got << " on " << a);
      }
      r[2 + i] = (room - span) / o.stride[i] + 1;
    }
    return {r, {}, {}};
  }

  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const extents w = g.shape(id[1]);
    const int first = w.rank - 5;
    const conv_options o = options.resolved({w[first + 2], w[first + 3], w[first + 4]}, g.shape(id[0]));
    convolution c;
    c.filtering = static_cast<std::int64_t>(g.filtering);
    c.groups = o.groups;
    for (int a = 0; a < 3; ++a) c.stride[a] = o.stride[a], c.lo[a] = o.lo[a], c.dilation[a] = o.dilation[a], c.extent[a] = out[2 + a];
    return w.rank == 6 ? g.convolution_per_sample(c, id[0], id[1]) : g.convolution(c, id[0], id[1]);
  }
};

/// The adjoint of a convolution in its input: x (N, C, D, H, W), w (C, O / groups, KD, KH, KW) as in PyTorch.
struct conv_transpose3d {
  conv_options options{};

  constexpr inferred infer(const extents* x, int) const {
    const line who("conv_transpose3d");
    const extents a = x[0], w = x[1];
    if (a.rank != 5) return refuse(line(who) << " wants rank 5", line("got ") << a);
    if (w.rank != 5) return refuse(line(who) << " weights: rank 5", line("got ") << w);
    const triple kernel{w[2], w[3], w[4]};
    if (const inferred r = check_said_once(who, options.again); !r.ok()) return r;
    if (options.mode != border::explicit_amounts) return refuse(line(who) << ": explicit padding", line("got same or causal"));
    if (const inferred r = check_options(who, options, kernel); !r.ok()) return r;
    if (a[1] % options.groups != 0)
      return refuse(line(who) << " channels / groups", line("got ") << a[1] << " channels, groups " << options.groups);
    if (w[0] != a[1]) return refuse(line(who) << ": " << w[0] << " channels", line("got ") << a[1] << " in " << a);
    extents r = make_extents(a[0], w[1] * options.groups, 0, 0, 0);
    for (int i = 0; i < 3; ++i) {
      const std::int64_t most = options.stride[i] > options.dilation[i] ? options.stride[i] : options.dilation[i];
      if (options.output_padding[i] < 0 || options.output_padding[i] >= most)
        return refuse(line("output_padding in 0..") << most - 1, line("got ") << options.output_padding << ", stride " << options.stride);
      r[2 + i] = bounded_product(a[2 + i] - 1, options.stride[i]);
      if (r[2 + i] > most_elements) return check_size(make_extents(r[2 + i]));
      r[2 + i] += options.dilation[i] * (kernel[i] - 1) + options.output_padding[i] + 1 - options.lo[i] - options.hi[i];
      if (r[2 + i] < 1) return refuse(line(who) << " wants an output", line("got ") << r);
    }
    return {r, {}, {}};
  }

  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    convolution c;
    c.which = static_cast<std::int64_t>(face::data);
    c.filtering = static_cast<std::int64_t>(g.filtering);
    c.groups = options.groups;
    for (int a = 0; a < 3; ++a)
      c.stride[a] = options.stride[a], c.lo[a] = options.lo[a], c.dilation[a] = options.dilation[a], c.extent[a] = out[2 + a];
    return g.convolution(c, id[0], id[1]);
  }
};

/// What can be said of a pooling window. A stride that is not said is the kernel; `high` is the padding behind where it is another one.
struct pool_options {
  static constexpr std::int64_t unsaid = -(std::int64_t{1} << 60);
  triple kernel{}, stride{unsaid, unsaid, unsaid}, padding{0, 0, 0}, dilation{};
  bool ceil_mode = false, count_include_pad = true;
  std::int64_t divisor = unsaid;
  triple high{-1, -1, -1};
  bool same_upper = false;
  int again = 0;  // as of a convolution

  constexpr std::int64_t step(int a) const { return stride[a] == unsaid ? kernel[a] : stride[a]; }
  constexpr std::int64_t low_of(int a, const extents& x) const { return same_upper ? total(a, x) / 2 : padding[a]; }
  constexpr std::int64_t high_of(int a, const extents& x) const {
    return same_upper ? total(a, x) - total(a, x) / 2 : high[a] < 0 ? padding[a] : high[a];
  }
  constexpr std::int64_t total(int a, const extents& x) const { return same_total(x[2 + a], step(a), dilation[a] * (kernel[a] - 1) + 1); }
};

/// The shape of a pooling, or why it is refused.
constexpr inferred infer_pool(line who, const pool_options& o, const extents& x) {
  if (x.rank != 5) return refuse(line(who) << " wants rank 5 (N,C,D,H,W)", line("got ") << x);
  if (const inferred r = check_said_once(who, o.again); !r.ok()) return r;
  if (const inferred r = check_counts(who, {o.kernel, o.stride, o.padding, o.dilation}); !r.ok()) return r;
  if (any_below(o.kernel, 1)) return refuse(line(who) << " wants kernel >= 1", line("got ") << o.kernel);
  if (any_below({o.step(0), o.step(1), o.step(2)}, 1)) return refuse(line(who) << " wants stride >= 1", line("got ") << o.stride);
  if (any_below(o.dilation, 1)) return refuse(line(who) << " wants dilation >= 1", line("got ") << o.dilation);
  if (any_below(o.padding, 0) || any_below(o.high, -1))
    return refuse(line(who) << " wants padding >= 0", line("got ") << (any_below(o.padding, 0) ? o.padding : o.high));
  for (const triple& t : {o.kernel, o.stride, o.dilation})
    for (int a = 0; a < 3; ++a)
      if (t[a] > most_option) return refuse(line(who) << " wants numbers <= 2^28", line("got ") << t[a]);
  if (o.divisor != o.unsaid && o.divisor < 1) return refuse(line(who) << " wants divisor >= 1", line("got ") << o.divisor);
  if (x[2] * x[3] * x[4] == 0) return refuse(line(who) << " wants voxels", line("got ") << x);
  extents r = make_extents(x[0], x[1], 0, 0, 0);
  for (int a = 0; a < 3; ++a) {
    const std::int64_t lo = o.low_of(a, x), hi = o.high_of(a, x);
    if (lo == hi && !o.same_upper && 2 * lo > o.kernel[a])
      return refuse(line(who) << ": padding <= kernel/2", line("got padding ") << o.padding << ", kernel " << o.kernel);
    if (lo != hi && !o.same_upper && (lo >= o.kernel[a] || hi >= o.kernel[a]))  // some window would hold no voxel
      return refuse(line(who) << ": padding < kernel", line("got padding ") << lo << " and " << hi << ", kernel " << o.kernel);
    const std::int64_t s = o.step(a), span = o.dilation[a] * (o.kernel[a] - 1) + 1, room = x[2 + a] + lo + hi;
    const std::int64_t free =
        room - span + (o.ceil_mode ? s - 1 : 0);  // with ceil_mode a window may reach over the end by less than a stride
    if (free < 0)
      return refuse(line(who) << (o.ceil_mode ? ": kernel < input + stride" : ": kernel <= input"), line("got ")
                                                                                                        << o.kernel << " on " << x);
    std::int64_t n = free / s + 1;
    if (o.ceil_mode && (n - 1) * s >= x[2 + a] + lo) --n;  // the last window must start inside the input or its low padding
    r[2 + a] = n;
  }
  return {r, {}, {}};
}

/// The window that options mean on an input.
constexpr pool_window window_of(const pool_options& o, const extents& x) {
  pool_window w;
  for (int a = 0; a < 3; ++a) {
    w.kernel[a] = o.kernel[a], w.stride[a] = o.step(a), w.dilation[a] = o.dilation[a];
    w.lo[a] = o.low_of(a, x), w.hi[a] = o.high_of(a, x);
  }
  w.divisor = o.divisor == o.unsaid ? 0 : o.divisor, w.count_include_pad = o.count_include_pad;
  return w;
}

/// Largest value of each window; padding is -inf, a NaN wins.
struct max_pool3d {
  pool_options options{};
  constexpr inferred infer(const extents* x, int) const { return infer_pool(line("max_pool3d"), options, x[0]); }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    return g.max_pool({window_of(options, g.shape(id[0])), 0}, id[0], id[0], out);
  }
};

/// Mean of each window.
struct avg_pool3d {
  pool_options options{};
  constexpr inferred infer(const extents* x, int) const { return infer_pool(line("avg_pool3d"), options, x[0]); }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    return g.avg_pool({window_of(options, g.shape(id[0])), 0}, id[0], out);
  }
};

/// The shape of an adaptive pooling, or why it is refused.
constexpr inferred infer_adaptive(const line& who, const triple& size, const extents& x) {
  if (x.rank != 5) return refuse(line(who) << ": rank 5", line("got ") << x);
  if (const inferred r = check_counts(who, {size}); !r.ok()) return r;
  if (any_below(size, 1)) return refuse(line(who) << ": size >= 1", line("got ") << size);
  if (x[2] * x[3] * x[4] == 0) return refuse(line(who) << ": voxels", line("got ") << x);
  return {make_extents(x[0], x[1], size[0], size[1], size[2]), {}, {}};
}

/// Averages so that the result has these spatial extents.
struct adaptive_avg_pool3d {
  triple size{};
  constexpr inferred infer(const extents* x, int) const { return infer_adaptive(line("adaptive_avg_pool3d"), size, x[0]); }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    if (size == triple{1, 1, 1}) return g.reshape(g.reduce(reduction::mean, id[0], axis_bit(2) | axis_bit(3) | axis_bit(4)), out);
    pool_window w;
    w.adaptive = 1;
    return g.avg_pool({w, 0}, id[0], out);
  }
};

/// Largest values of windows chosen so that the result has these spatial extents.
struct adaptive_max_pool3d {
  triple size{};
  constexpr inferred infer(const extents* x, int) const { return infer_adaptive(line("adaptive_max_pool3d"), size, x[0]); }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    pool_window w;
    w.adaptive = 1;
    return g.max_pool({w, 0}, id[0], id[0], out);
  }
};

/// The shape of an upsampling, or why it is refused.
constexpr inferred infer_upsample(const extents& x, const triple& s) {
  if (x.rank != 5) return refuse(line("upsample wants rank 5 (N,C,D,H,W)"), line("got ") << x);
  if (const inferred r = check_counts(line("upsample"), {s}); !r.ok()) return r;
  if (any_below(s, 1)) return refuse(line("upsample wants a scale >= 1"), line("got ") << s);
  if (x[2] * x[3] * x[4] == 0) return refuse(line("upsample wants voxels"), line("got ") << x);
  return {make_extents(x[0], x[1], bounded_product(x[2], s.d), bounded_product(x[3], s.h), bounded_product(x[4], s.w)), {}, {}};
}

/// Every voxel becomes a block of its copies: the adjoint of a sum over blocks, which is average pooling that divides by 1. Measured on
/// 16 x 32^3 to 64^3 voxels with one thread: 1.8 ms, its gradient 2.3 ms; as a broadcast and a sum over the axes of the blocks 4.6 and
/// 29 ms.
struct upsample_nearest {
  triple scale{};
  constexpr inferred infer(const extents* x, int) const { return infer_upsample(x[0], scale); }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    pool_options o;
    o.kernel = scale, o.dilation = {1, 1, 1}, o.divisor = 1;
    return g.shape(id[0]) == out ? id[0] : g.avg_pool({window_of(o, out), 1}, id[0], out);
  }
};

}  // namespace volute::ops
