// When gradients can leave is known while compiling.
#include <volute/distributed/data_parallel.hpp>
#include <volute/volute.hpp>

using namespace volute;

namespace {

struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::same>, nn::batch_norm3d<8>, nn::relu,
                            nn::conv3d<8, 8, nn::kernel<3>, nn::same>, nn::relu, nn::flatten, nn::linear<8 * 64, 5>> {};
using learner = trainer<net, nn::cross_entropy<>, adam, input<"x", 2, 1, 4, 4, 4>, input<"labels", 2>>;
using plan = learner::facts::plan;
constexpr auto& layout = learner::program_type::gradient_layout;
constexpr int first_gradient = 1;

/// The last launch that writes the gradients [begin, end).
constexpr int written(std::int64_t begin, std::int64_t end) {
  int last = -1;
  for (int i = 0; i < plan::size.launches; ++i) {
    const graph::place& out = plan::tables.launches[i].out;
    const int k = out.slot - first_gradient;
    if (out.where != graph::space::output || k < 0 || k >= layout.entry_count) continue;
    if (layout.entries[k].offset >= begin && layout.entries[k].offset < end) last = i;
  }
  return last;
}
/// The buckets cover the block, each once, in the order in which they are ready.
template <class List>
constexpr bool sound(const List& list) {
  std::int64_t elements = 0;
  for (int b = 0; b < list.count; ++b) {
    const distributed::bucket& one = list.all[b];
    elements += one.size;
    if (one.size <= 0 || one.offset % 16 != 0 || one.launch != written(one.offset, one.offset + one.size)) return false;
    if (b > 0 && one.launch < list.all[b - 1].launch) return false;
    for (int k = 0; k < b; ++k)
      if (one.offset < list.all[k].offset + list.all[k].size && list.all[k].offset < one.offset + one.size) return false;
  }
  return elements == layout.elements;
}

template <std::int64_t Bytes>
constexpr auto& buckets = distributed::data_parallel<learner, distributed::alone, Bytes>::buckets;
static_assert(layout.entry_count == 8);
static_assert(buckets<1>.count == 4 && sound(buckets<1>));  // none is less than a 256th of the block
static_assert(buckets<4096>.count > 1 && buckets<4096>.count < 4 && sound(buckets<4096>));
static_assert(buckets<1 << 20>.count == 1 && sound(buckets<1 << 20>));
// The last layer's gradients leave long before the last launch.
static_assert(buckets<4096>.all[0].offset == layout.entries[6].offset);
static_assert(buckets<4096>.all[0].launch < plan::size.launches - 5);

// The tree over 6 runs is ((0+1)+(2+3))+(4+5): one rank keeps two sums.
static_assert(distributed::nodes_of(0, 6) == 2 && distributed::nodes_of(0, 8) == 1 && distributed::nodes_of(1, 8) == 3);
static_assert(distributed::largest_node(0, 6) == distributed::tree_node{2, 0});
static_assert(distributed::largest_node(4, 6) == distributed::tree_node{1, 2});

}  // namespace
