// A volume through a network over ranks: its slabs are dealt out, and rank 0 hands them on in their order.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/distributed/communicator.hpp>
#include <volute/volumes/tiled.hpp>

#include <bit>

namespace volute::distributed {
inline namespace VOLUTE_ISA {

/// tiled::run over all ranks, called on each with the same weights and the same volume: rank r computes slabs r, r + ranks, ..., and the
/// sink of rank 0 gets them all in the order of depth, with the bits of one rank; the other ranks' sinks are not called. A rank needs of
/// the volume what its own slabs see. Slabs that were handed on before a rank is lost stay so: a sink that writes a file keeps them. What
/// differs between ranks is refused before anything is computed, with both values. A run over ranks cannot be called off: options.progress
/// is refused.
template <communicator C, class Tiled, class Sink, class... Source>
void run_tiles(C& c, Tiled& tiles, const volumes::options& o, const Sink& sink, const Source&... source) {
  using T = typename Tiled::value_type;
  using element = typename Sink::template element<T>;
  const volumes::size3 volume = Tiled::extents_of(source...);
  const std::vector<volumes::stretch> slabs = Tiled::slabs(volume, o.fit);
  const extents whole = Tiled::result_shape(volume, o.fit);
  const std::int64_t channels = Sink::channels(whole[1]);
  if (o.progress) fail("run_tiles: options.progress: expected none over ranks, found one");
  hash weights;
  for (const auto& p : std::as_const(tiles).parameter_table())
    for (std::int64_t i = 0; i < p.shape.size(); ++i) weights.put(std::bit_cast<std::uint64_t>(static_cast<double>(p.data[i])));
  agree(c, {{"number of slabs", std::to_string(slabs.size())},
            {"shape of the result", format_shape(std::span(whole.dim, static_cast<std::size_t>(whole.rank)))},
            {"bytes of an element", std::to_string(sizeof(element))},
            {"channels of the sink", std::to_string(channels)},
            {"hash of the weights", std::to_string(weights.value)}});

  std::vector<element> own, leaving, arriving;
  typename C::request sent;
  bool under_way = false;
  volumes::options one = o;
  one.slab_count = 1;
  for (std::size_t k = 0; k < slabs.size(); ++k) {
    const extents shape = make_extents(whole[0], channels, slabs[k].end - slabs[k].begin, whole[3], whole[4]);
    const int owner = static_cast<int>(k % static_cast<std::size_t>(c.size()));
    if (owner != c.rank() && c.rank() != 0) continue;
    if (owner == c.rank()) {
      one.first_slab = static_cast<std::int64_t>(k);
      tiles.run(one, sink.with([&](const volumes::slab<element>& s) {
        if (c.rank() == 0)
          sink.function(s);
        else
          own.assign(s.data, s.data + s.shape.size());
      }),
                source...);
      if (c.rank() == 0) continue;
      if (under_way) wait(c, std::move(sent), 0);  // one slab on its way while the next is computed
      leaving.swap(own);
      sent = c.send(0, static_cast<int>(k % control_tag), std::as_bytes(std::span(leaving)));
      under_way = true;
    } else {
      arriving.resize(static_cast<std::size_t>(shape.size()));
      wait(c, c.receive(owner, static_cast<int>(k % control_tag), std::as_writable_bytes(std::span(arriving))), owner);
      sink.function(volumes::slab<element>{slabs[k].begin, shape, arriving.data()});
    }
  }
  if (under_way) wait(c, std::move(sent), 0);
  c.barrier();
}

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
