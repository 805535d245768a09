// A volume through a network over ranks: its slabs are dealt out, and rank 0 hands them on in their order.
#pragma once

#include <volute/distributed/agreement.hpp>
#include <volute/volumes/tiled.hpp>

namespace volute::distributed {
inline namespace VOLUTE_ISA {

/// tiled::run over all ranks, called on each with the same weights and the same volume: rank r computes slabs r, r + ranks, ... of those
/// that the options name, and the sink of rank 0 gets them all in the order of depth, with the bits of one rank; the other ranks' sinks are
/// not called. A rank needs of the volume what its own slabs see. Slabs that were handed on before a rank is lost stay so: a sink that
/// writes a file keeps them. What differs between ranks is refused before anything is computed, with both values. A run over ranks cannot
/// be called off: options.progress is refused.
template <communicator C, class Tiled, class Sink, class... Source>
void run_tiles(C& c, Tiled& tiles, const volumes::options& o, const Sink& sink, const Source&... source) {
  using T = typename Tiled::value_type;
  using element = typename Sink::template element<T>;
  const volumes::size3 volume = Tiled::extents_of(source...);
  const std::vector<volumes::stretch> slabs = Tiled::slabs(volume, o.fit);
  const extents whole = Tiled::result_shape(volume, o.fit);
  const std::int64_t channels = Sink::channels(whole[1]);
  if (o.progress) fail("run_tiles: options.progress: expected none over ranks, found one");
  const std::int64_t count = static_cast<std::int64_t>(slabs.size()), from = std::clamp(o.first_slab, std::int64_t{0}, count),
                     to = from + std::clamp(o.slab_count, std::int64_t{0}, count - from);
  std::vector<std::pair<std::string, std::string>> rows;
  append_program<typename Tiled::facts, T>(rows);
  rows.insert(rows.end(), {{"number of slabs", std::to_string(count)},
                           {"first slab", std::to_string(from)},
                           {"slab behind the last one", std::to_string(to)},
                           {"shape of the result", format_shape(std::span(whole.dim, static_cast<std::size_t>(whole.rank)))},
                           {"bytes of a result's element", std::to_string(sizeof(element))},
                           {"channels of the sink", std::to_string(channels)}});
  append_parameters(rows, std::as_const(tiles));
  agree(c, rows);

  std::vector<element> own, leaving, arriving;
  typename C::request sent;
  bool under_way = false;
  volumes::options one = o;
  one.slab_count = 1;
  for (std::int64_t k = from; k < to; ++k) {
    const volumes::stretch& slab = slabs[static_cast<std::size_t>(k)];
    const extents shape = make_extents(whole[0], channels, slab.end - slab.begin, whole[3], whole[4]);
    const int owner = static_cast<int>((k - from) % c.size());
    if (owner != c.rank() && c.rank() != 0) continue;
    if (owner == c.rank()) {
      one.first_slab = k;
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
      sink.function(volumes::slab<element>{slab.begin, shape, arriving.data()});
    }
  }
  if (under_way) wait(c, std::move(sent), 0);
  c.barrier();
}

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
