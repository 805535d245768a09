// What a planned program is made of: kernels (each distinct one once), launches in order, and places in memory.
#pragma once

#include <volute/graph/frozen.hpp>
#include <volute/ops/loop_nest.hpp>
#include <volute/ops/volume_layout.hpp>

namespace volute::graph {

/// Every kind of kernel that a launch can call.
enum class kernel_kind : std::int8_t {
  elementwise,
  reduce,
  matmul,
  conv_forward,
  conv_data,
  conv_weights,
  pack_forward,
  pack_data,
  max_pool,
  max_gather,
  max_scatter,
  avg_pool,
  avg_adjoint,
  copy,
  fill,
  arange,
  random,
  gather,
  scatter,
  attention,
  attention_gradient,
  moments,     // variances over all pixels; the means are a further result
  all_reduce,  // the sum over the runs of a step; of a run by itself a copy
  halo,        // planes of neighbouring slabs; of a slab by itself zeros
  room,        // writes nothing: from here on a further result of the next launch has memory
};
/// The name of a kind in reports.
VOLUTE_EXHAUSTIVE_BEGIN
constexpr std::string_view kernel_name(kernel_kind k) {
  // clang-format off
  switch (k) {
    case kernel_kind::elementwise: return "elementwise";
    case kernel_kind::reduce: return "reduce";
    case kernel_kind::matmul: return "matmul";
    case kernel_kind::conv_forward: return "conv forward";
    case kernel_kind::conv_data: return "conv data";
    case kernel_kind::conv_weights: return "conv weights";
    case kernel_kind::pack_forward: return "pack forward";
    case kernel_kind::pack_data: return "pack data";
    case kernel_kind::max_pool: return "max pool";
    case kernel_kind::max_gather: return "max gather";
    case kernel_kind::max_scatter: return "max scatter";
    case kernel_kind::avg_pool: return "avg pool";
    case kernel_kind::avg_adjoint: return "avg adjoint";
    case kernel_kind::copy: return "copy";
    case kernel_kind::fill: return "fill";
    case kernel_kind::arange: return "arange";
    case kernel_kind::random: return "random";
    case kernel_kind::gather: return "gather";
    case kernel_kind::scatter: return "scatter";
    case kernel_kind::attention: return "attention";
    case kernel_kind::attention_gradient: return "attention gradient";
    case kernel_kind::moments: return "moments";
    case kernel_kind::all_reduce: return "all reduce";
    case kernel_kind::halo: return "halo";
    case kernel_kind::room: return "room";
  }
  // clang-format on
  return {};
}
VOLUTE_EXHAUSTIVE_END

/// A kernel with everything that is settled while compiling: the template argument of its instantiation. Indices point into the plan's
/// tables.
struct kernel_spec {
  kernel_kind kind{};
  int program = -1;        // elementwise, reduce; the epilogue of a convolution
  std::int64_t lanes = 0;  // elementwise, reduce: two bits an input, its lane, or in blocks its access; convolution: the access of each
                           // epilogue operand; pack: conv_facts::order; attention: an attention_form
  int geometry = -1;       // convolutions and packs: of a conv_geometry; pooling: of a pool_geometry
  bool first = false;      // reduce: the innermost axis is reduced; matmul: a is transposed; convolution: scaled input; halo: adjoint
  bool second = false;     // matmul: b is transposed; reduce in blocks, moments: a result for each sample; convolution, pack: by the
                           // kernels that write blocks where its own do not (conv_facts::linked)
  ops::reduction how{};    // reduce
  int source = -1;         // of a volume_layout: what a convolution (weights: x), pooling, elementwise, reduce, moments reads; < 0: NCDHW
  int target = -1;         // the same of what it writes (weights: of g)
  friend constexpr bool operator==(const kernel_spec&, const kernel_spec&) = default;
};

/// Where in a table of different kernels each stands. In buckets: a network has hundreds, and every launch asks (of a DenseNet's 1000, one
/// by one, 170,000 times).
class kernel_index {
 public:
  constexpr kernel_index() {
    for (int& last : last_) last = -1;
  }
  /// The place of a kernel, which is appended if it is new.
  constexpr int operator()(buffer<kernel_spec>& table, const kernel_spec& k) {
    const auto mixed = static_cast<std::uint64_t>(31 * k.program + 7 * k.geometry + 3 * k.source + k.target + k.lanes + static_cast<int>(k.kind));
    int& last = last_[mixed % buckets];
    for (int i = last; i >= 0; i = before_.data[i])
      if (table.data[i] == k) return i;
    before_.push_back(last);
    table.push_back(k);
    return last = table.size - 1;
  }

 private:
  static constexpr int buckets = 64;
  int last_[buckets];
  buffer<int> before_;  // of each kernel: the one before it in its bucket, or -1
};

/// Where a tensor lies. `derived`: a function of the parameters alone, which belongs to the weights and is made again only after they
/// change; everything else that a launch makes belongs to one run's workspace.
enum class space : std::int8_t { arena, parameters, input, output, derived };
struct place {
  space where{};
  int slot = 0;             // which input, output or derived value
  std::int64_t offset = 0;  // elements
  friend constexpr bool operator==(const place&, const place&) = default;
};

/// The most operands of a launch.
inline constexpr int max_operands = 11;  // attention's gradient has 8, and 3 further results; a convolution 3, and 7 of its epilogue
static_assert(3 + ops::max_program_inputs - 1 <= max_operands, "volute: a launch has too few operands for a convolution's epilogue");

/// One call of a kernel.
struct launch {
  int kernel = 0;
  int node = 0;  // the node whose value it makes
  int count = 0;
  place in[max_operands]{};
  place out{};
  place scratch{};
  std::int64_t scratch_size = 0;
  double value = 0;  // fill; random: the stream; reduce: what the sum is divided by; attention: the scale; halo: the slab
  ops::loop_nest nest{};
};

/// How many of everything.
struct plan_size {
  int launches = 0;
  int prologue = 0;  // the first of them depend on parameters alone and run again only after those change
  int kernels = 0, programs = 0, convolutions = 0, pools = 0, layouts = 0;
};

/// A stored value, for reports and assertions.
struct value_info {
  int node = 0;
  std::int64_t size = 0;
  int first = 0, last = 0;  // launches
  place at{};
};

}  // namespace volute::graph
