// When which gradients can leave: the block of gradients is cut into buckets while compiling, and of each it is known which launch of the
// plan writes it last.
#pragma once

#include <volute/graph/launch.hpp>

#include <cstdint>

namespace volute::distributed {

/// Elements of the block of gradients that leave together, after launch `launch`.
struct bucket {
  std::int64_t offset = 0, size = 0;
  int launch = -1;
};

/// At most Most + 1 of them, in the order of their launches.
template <int Most>
struct bucket_list {
  bucket all[Most + 1]{};  // in the order of their launches
  int count = 0;
  constexpr const bucket* begin() const { return all; }
  constexpr const bucket* end() const { return all + count; }
};

/// Neighbouring gradients together until there are `elements` of them: from the last parameter, whose gradient is made first, to the first
/// one. There are at most 256 buckets, so that many small messages do not queue.
template <class Plan, int Entries, class Layout>
constexpr bucket_list<Entries> buckets_of(const Layout& where, int first_gradient, std::int64_t elements) {
  int last[Entries + 1]{};
  for (int i = 0; i < Plan::size.launches; ++i) {
    const graph::place& out = Plan::tables.launches[i].out;
    const int k = out.slot - first_gradient;
    if (out.where == graph::space::output && k >= 0 && k < Entries) last[k] = i;
  }
  if (elements < where.elements / 256) elements = where.elements / 256;
  bucket_list<Entries> list;
  std::int64_t end = where.elements;
  int launch = -1;
  for (int k = Entries - 1; k >= 0; --k) {
    if (last[k] > launch) launch = last[k];
    const std::int64_t begin = where.entries[k].offset;
    if (k > 0 && end - begin < elements) continue;
    int at = list.count++;
    for (; at > 0 && list.all[at - 1].launch > launch; --at) list.all[at] = list.all[at - 1];
    list.all[at] = {begin, end - begin, launch};
    end = begin, launch = -1;
  }
  return list;
}

}  // namespace volute::distributed
