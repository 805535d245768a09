// oneDNN, release 2 or 3, at the surface a user has: NCDHW in and out, weights packed beforehand; the reorders of activations (and of the
// filter's gradient) are part of a pass. Ways: activations in the layout that oneDNN likes best, channels last, or plain; as inference or
// as training, which can pick different kernels.
#include "onednn.hpp"

#include <algorithm>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <unordered_map>

namespace {

using namespace compare;
using dnnl::memory;

struct steps {
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>> list;
  void add(const dnnl::primitive& p, const std::unordered_map<int, memory>& arguments) { list.emplace_back(p, arguments); }
  void add_reorder(memory from, memory to) { add(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}); }
  void run(dnnl::stream& s) const {
    for (const auto& [primitive, arguments] : list) primitive.execute(s, arguments);
    s.wait();
  }
};

/// Release 3 dropped the operation descriptors.
template <class Convolution, class... Hint, class... Arguments>
auto describe(const dnnl::engine& e, const std::tuple<Hint...>& hint, const Arguments&... a) {
  return std::apply(
      [&](const auto&... h) {
#if DNNL_VERSION_MAJOR >= 3
        return typename Convolution::primitive_desc(e, a..., h...);
#else
        return typename Convolution::primitive_desc(typename Convolution::desc(a...), e, h...);
#endif
      },
      hint);
}

enum class layout { best, channels_last, plain };
constexpr const char* layout_names[]{"best layout", "channels last", "plain"};

memory::desc describe_tensor(const memory::dims& dims, layout l) {
  constexpr memory::format_tag tags[]{memory::format_tag::any, memory::format_tag::acdeb, memory::format_tag::abcde};
  const bool grouped = dims.size() == 6;  // only weights are
  return {dims, memory::data_type::f32, grouped && l == layout::plain ? memory::format_tag::abcdef : tags[static_cast<int>(l)]};
}

/// A tensor as the user has it, and as the convolution is asked to take it.
struct tensor {
  memory::desc plain, any;
  tensor(const memory::dims& dims, layout l) : plain(describe_tensor(dims, layout::plain)), any(describe_tensor(dims, l)) {}
};

struct way {
  std::shared_ptr<steps> todo = std::make_shared<steps>();
  std::string kernel;  // and what is reordered: equal ones of a layout are not measured twice
};

template <class Primitive>
way make(const dnnl::engine& e, dnnl::stream& s, const typename Primitive::primitive_desc& pd, pass p, const memory::desc (&wanted)[3],
         const memory::desc (&plain)[3], const float* const (&data)[3], const int (&names)[3]) {
  way w;
  w.kernel = pd.impl_info_str();
  std::unordered_map<int, memory> arguments;
  memory outputs[2];
  for (int i = 0; i < 3; ++i) {
    const bool same = wanted[i] == plain[i], result = i == 2, weights = i == 1 && p != pass::weights;
    memory user(plain[i], e, const_cast<float*>(data[i]));
    memory own = same ? user : memory(wanted[i], e);
    arguments[names[i]] = own;
    w.kernel += same ? " plain" : " reordered";
    if (result) {
      outputs[0] = own, outputs[1] = user;
    } else if (weights && !same) {
      steps once;
      once.add_reorder(user, own);
      once.run(s);
    } else if (!same) {
      w.todo->add_reorder(user, own);
    }
  }
  w.todo->add(Primitive(pd), arguments);
  if (outputs[0] != outputs[1]) w.todo->add_reorder(outputs[0], outputs[1]);
  return w;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void compare_onednn_version(std::string& version) {
  const dnnl::version_t* v = dnnl::version();
  version = std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

EXPORT void compare_onednn_ways(pass p, const conv_geometry& g, const float* first, const float* second, float* result,
                                std::vector<onednn_way>& ways) {
  static dnnl::engine e(dnnl::engine::kind::cpu, 0);
  static dnnl::stream s(e);
  memory::dims stride, dilation, low, high, filter{g.out_channels, g.group_in()};
  if (g.groups > 1) filter = {g.groups, g.group_out(), g.group_in()};
  for (int a = 0; a < 3; ++a) {
    filter.push_back(g.kernel[a]);
    stride.push_back(g.stride[a]);
    dilation.push_back(g.dilation[a] - 1);
    low.push_back(g.lo[a]);
    high.push_back(std::max(int64_t{0}, (g.out[a] - 1) * g.stride[a] + g.dilation[a] * (g.kernel[a] - 1) + 1 - g.in[a] - g.lo[a]));
  }
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  constexpr auto inference = dnnl::prop_kind::forward_inference, training = dnnl::prop_kind::forward_training;
  std::vector<std::string> seen;
  for (const layout wanted : {layout::best, layout::channels_last, layout::plain}) {
    const tensor x({g.batch, g.in_channels, g.in[0], g.in[1], g.in[2]}, wanted);
    const tensor w(filter, layout::best);
    const tensor y({g.batch, g.out_channels, g.out[0], g.out[1], g.out[2]}, wanted);
    for (const auto kind : {inference, training}) {
      if (p != pass::forward && kind == inference) continue;
      try {
        const auto forward =
            describe<dnnl::convolution_forward>(e, std::tuple(), kind, direct, x.any, w.any, y.any, stride, dilation, low, high);
        way made;
        if (p == pass::forward) {
          made = make<dnnl::convolution_forward>(e, s, forward, p, {forward.src_desc(), forward.weights_desc(), forward.dst_desc()},
                                                 {x.plain, w.plain, y.plain}, {first, second, result},
                                                 {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST});
        } else if (p == pass::data) {
          const auto d =
              describe<dnnl::convolution_backward_data>(e, std::tuple(forward), direct, x.any, w.any, y.any, stride, dilation, low, high);
          made = make<dnnl::convolution_backward_data>(e, s, d, p, {d.diff_dst_desc(), d.weights_desc(), d.diff_src_desc()},
                                                       {y.plain, w.plain, x.plain}, {first, second, result},
                                                       {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC});
        } else {
          const auto d = describe<dnnl::convolution_backward_weights>(e, std::tuple(forward), direct, x.any, w.any, y.any, stride, dilation,
                                                                      low, high);
          made = make<dnnl::convolution_backward_weights>(e, s, d, p, {d.src_desc(), d.diff_dst_desc(), d.diff_weights_desc()},
                                                          {x.plain, y.plain, w.plain}, {first, second, result},
                                                          {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS});
        }
        if (wanted == layout::channels_last) made.kernel += " channels last";  // unlike the best layout
        // The reference kernel is slower than a plain loop: nobody's choice, so no ratio against it.
        if (made.kernel.starts_with("ref") || std::find(seen.begin(), seen.end(), made.kernel) != seen.end()) continue;
        seen.push_back(made.kernel);
        const std::string name = layout_names[static_cast<int>(wanted)];
        ways.push_back(
            {p != pass::forward ? name : name + (kind == inference ? ", inference" : ", training"), [todo = made.todo] { todo->run(s); }});
      } catch (const dnnl::error&) {  // this oneDNN has no such kernel
      }
    }
  }
}
