// The ceilings of the machine that this runs on.
#pragma once

#include <string>

namespace compare {

/// What Linux calls the processor; family and model are empty where it names none.
struct processor {
  std::string name, family, model;
};
processor this_processor();

struct ceilings {
  double peak = 0;                            // multiply-adds of floats, operations a second
  double l1 = 0, l2 = 0, l3 = 0, memory = 0;  // reads, bytes a second
  double l1_size = 0, l2_size = 0;            // bytes a thread
  static constexpr double l3_size =
      16 << 20;  // a footprint above is counted as memory's: the cache is shared, and more than half of it is nobody's own
  int threads = 1;

  double bandwidth(double bytes) const {
    return bytes <= l1_size * threads ? l1 : bytes <= l2_size * threads ? l2 : bytes <= l3_size ? l3 : memory;
  }
  /// Microseconds that this work takes at least.
  double roofline(double flops, double bytes) const {
    const double compute = flops / peak, transfer = bytes / bandwidth(bytes);
    return (compute > transfer ? compute : transfer) * 1e6;
  }
};

/// `count` turns of a third of a millisecond; the fastest one counts.
double measure_peak(int threads, int count = 20);

/// Waits for a machine that others use too. Processors of a virtual machine are now and then two halves of one core, or share theirs with
/// another guest: for seconds, two threads then multiply no faster than one, and a round in which that changes compares nothing. A guest
/// that does not multiply leaves the FMA peak as it is, but takes a fifth of what convolutions have (36 -> 45 ms, 64 -> 64 at 32^3): the
/// probe is the loop of one, with its broadcasts and loads.
class patience {
 public:
  patience(int threads, double seconds);
  /// Returns when the threads' probe reaches 90 % of what it can again, or when `seconds` in all have been waited.
  void settle();
  double waited() const { return all_ - left_; }

 private:
  int threads_;
  double best_, all_, left_;
};

ceilings measure_ceilings(int threads);

}  // namespace compare
