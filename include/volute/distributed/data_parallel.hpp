// A training whose batch is spread over ranks: the runs of a step are dealt out, their gradients are added over all ranks, and every rank
// makes the same update.
#pragma once

#include <volute/distributed/agreement.hpp>
#include <volute/distributed/gradient_sum.hpp>
#include <volute/distributed/halo.hpp>
#include <volute/distributed/lockstep.hpp>
#include <volute/distributed/parts_of_step.hpp>

namespace volute {
namespace distributed {
inline namespace VOLUTE_ISA {

/// How a step is shared: how many runs it makes, how their gradients are added, and when they leave.
struct data_parallel_settings {
  std::int64_t runs = 0;  // of the trainer's program in a step, over all ranks; 0: one for each rank
  summation sum = summation::same_bits;
  bool overlap = true;  // gradients leave while the last run's backward pass goes on
};

/// `distributed::data_parallel step(t, world, {.runs = 8});` trains trainer t on all ranks of the communicator `world`, both of which
/// outlive it. A step makes `runs` runs of the trainer's program, dealt out in order over the ranks, and one update by the mean of their
/// gradients: with a batch of one a run is a sample. Each rank has a trainer of the same program, weights and settings; what differs is
/// refused before the first step. Random numbers depend on the run, not on the rank. States that a run changes (running statistics of
/// batch norm) begin each run as the step found them, and become the mean of what the runs made of them.
///
/// The statistics that batch norm normalises by are those of its own run, unless it is synchronised (nn::convert_sync_batchnorm): then they
/// are those of all runs of the step, as of one batch, and so are their derivatives. The runs of a rank take turns then, each in a
/// workspace of its own; `run` only takes the inputs, and the runs are made after the last call of each.
///
/// With summation::same_bits a training has the same bits for any number of ranks; for 1, 2 or 3 runs a step, those of the trainer alone
/// with settings.accumulate = runs (which adds one after the other) if the program changes no states.
template <class Trainer, communicator C, std::int64_t BucketBytes = std::int64_t{1} << 20>
class data_parallel;

template <class Trainer, communicator C, std::int64_t BucketBytes>
requires(!Trainer::is_refused) class data_parallel<Trainer, C, BucketBytes> {
  using parts = training_parts::parts_of_step;
  using program_type = typename Trainer::program_type;

 public:
  using value_type = typename Trainer::value_type;
  using T = value_type;
  using facts = typename Trainer::facts;
  /// The block of gradients in parts of at least BucketBytes, which leave when the launch that writes them last has run.
  static constexpr auto buckets = buckets_of<typename facts::plan, program_type::gradient_layout.entry_count>(
      program_type::gradient_layout, parts::first_gradient<Trainer>, BucketBytes / static_cast<std::int64_t>(sizeof(T)));

  /// The launches at which a run waits for all others.
  static constexpr auto meetings = meetings_of<typename facts::plan>;

  data_parallel(Trainer& t, C& c, data_parallel_settings s = {})
      : t_(t),
        c_(c),
        settings_(checked(s, c)),
        sum_(c, s.sum, settings_.runs, all_buckets()),
        losses_(static_cast<std::size_t>(settings_.runs)),
        states_(static_cast<std::size_t>(state_elements)),
        memory_(meetings.count > 0 ? last() - first() : 1, facts::workspace_bytes, facts::worker_bytes),
        halos_(c, settings_.runs),
        stops_(stops_of<typename facts::plan>()) {}
  data_parallel(const data_parallel&) = delete;
  data_parallel& operator=(const data_parallel&) = delete;

  Trainer& trainer() noexcept { return t_; }
  const Trainer& trainer() const noexcept { return t_; }
  C& ranks() noexcept { return c_; }
  const data_parallel_settings& settings() const noexcept { return settings_; }
  /// The runs of this rank: [first(), last()) of 0 .. runs - 1.
  std::int64_t first() const noexcept { return first_run(settings_.runs, c_.size(), c_.rank()); }
  std::int64_t last() const noexcept { return first_run(settings_.runs, c_.size(), c_.rank() + 1); }

  /// One step on all ranks. each(i, run) is called for the runs of this rank in their order and calls run(x = batch, labels = classes),
  /// with what trainer::step takes, once. Returns the mean loss of all runs before the update, the same on every rank. Throws what
  /// trainer::step, each and the communicator throw; after that the trainer is as it was, and this object takes no more steps: other ranks
  /// may be ahead.
  template <class Each>
  T step(Each&& each) {
    if (broken_) fail("data_parallel: expected ranks that go on together, found a step that one of them did not finish");
    if (!agreed_) agree();
    if (t_.settings.accumulate != 1)
      fail("data_parallel: settings.accumulate: expected 1, the runs of a step being its own, found " +
           std::to_string(t_.settings.accumulate));
    const double rate = parts::rate(t_);
    parts::choose_groups(t_);
    std::copy_n(state_data(), state_elements, states_.data());
    undo before{*this, t_.random()};
    broken_ = true;
    std::fill(losses_.begin(), losses_.end(), T(0));
    next_ = 0;
    waited_ = 0;
    if constexpr (meetings.count > 0)
      runs_in_turns(before.random, each);
    else
      for (std::int64_t i = first(); i < last(); ++i) one_run(i, before.random, each);
    while (next_ < buckets.count) leave(last() - 1);
    if (state_elements > 0) sum_.begin(states_bucket);
    auto losses = c_.all_reduce(std::span<T>(losses_));  // each is somebody's and zero elsewhere
    const auto begun = std::chrono::steady_clock::now();
    sum_.finish();
    wait(c_, std::move(losses), -1);
    waited_ += since(begun);
    const T runs = static_cast<T>(settings_.runs);
    for (std::int64_t k = 0; k < state_elements; ++k) state_data()[k] = sum_.sum()[gradient_elements + k] / runs;
    parts::apply(t_, rate, sum_.sum(), settings_.runs);
    t_.set_random({before.random.seed, before.random.run + static_cast<std::uint64_t>(settings_.runs)});
    before.done = true;
    broken_ = false;
    double mean = 0;
    for (T v : losses_) mean += static_cast<double>(v);
    return static_cast<T>(mean / static_cast<double>(settings_.runs));
  }

  /// The loss of each run of the last step.
  std::span<const T> losses() const noexcept { return losses_; }
  /// Seconds of the last step in which this rank had nothing to do but to wait for others and for their gradients.
  double waited() const noexcept { return waited_; }

  /// Looks whether all ranks have the same program, weights, settings and progress; the first step does it, and resume(). Throws
  /// shape_error on every rank, with the first difference and both values.
  void agree() {
    distributed::agree(c_, facts_of_this_rank());
    agreed_ = true;
  }
  /// To be called on every rank after weights or settings were changed by other means than steps, if the next step is to look again.
  void changed() noexcept { agreed_ = false; }

 private:
  static constexpr std::int64_t gradient_elements = program_type::gradient_layout.elements;
  static constexpr std::int64_t state_elements = facts::changes_states ? facts::parameter_elements - facts::learned_elements : 0;

  Trainer& t_;
  C& c_;
  data_parallel_settings settings_;
  gradient_sum<T, C> sum_;
  std::vector<T> losses_, states_;
  workspaces memory_;
  halo_exchange<T, C> halos_;
  std::vector<stop> stops_;  // of runs that meet
  int next_ = 0;             // bucket
  double waited_ = 0;
  bool agreed_ = false, broken_ = false;

  struct undo {
    data_parallel& self;
    random_state random;
    bool done = false;
    ~undo() {
      if (done) return;
      self.t_.set_random(random);
      if (state_elements > 0) std::copy_n(self.states_.data(), state_elements, self.state_data());
    }
  };

  static data_parallel_settings checked(data_parallel_settings s, const C& c) {
    if (s.runs == 0) s.runs = c.size();
    if (s.runs < 0 || s.runs > (std::int64_t{1} << 24))
      fail("data_parallel: runs of a step: expected 1 to 2^24, found " + std::to_string(s.runs));
    return s;
  }
  static constexpr std::size_t states_bucket = static_cast<std::size_t>(buckets.count),
                               first_meeting = states_bucket + (state_elements > 0 ? 1 : 0);
  /// Those of the gradients, the states, and what runs say to each other on the way.
  static std::vector<bucket> all_buckets() {
    std::vector<bucket> all(buckets.begin(), buckets.end());
    if (state_elements > 0) all.push_back({gradient_elements, state_elements, facts::plan::size.launches});
    std::int64_t end = gradient_elements + state_elements;
    for (const bucket& m : meetings) {
      if (m.size == 0) continue;
      all.push_back({end, m.size, m.launch});
      end += m.size;
    }
    return all;
  }
  static double since(std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  }
  T* state_data() { return t_.weights().state_values().data(); }
  /// Where run i of this rank is made, and its result k.
  workspace& memory(std::int64_t i) { return memory_(parts::program(t_).memory(), meetings.count > 0 ? i - first() : 0); }
  const T* result(std::int64_t i, int k) { return program_type::output_data(memory(i), k); }

  template <class Each, class Run>
  void one_call(std::int64_t i, const random_state& begin, Each& each, Run run) {
    memory(i).set_random({begin.seed, begin.run + static_cast<std::uint64_t>(i)});
    int calls = 0;
    each(i, [&](const auto&... bound) {
      if (++calls == 1) run(bound...);
    });
    if (calls != 1) fail("data_parallel: run " + std::to_string(i) + ": expected one call of run, found " + std::to_string(calls));
  }
  template <class Each>
  void one_run(std::int64_t i, const random_state& begin, Each& each) {
    if (state_elements > 0 && i > first()) std::copy_n(states_.data(), state_elements, state_data());
    one_call(i, begin, each, [&](const auto&... bound) { parts::run(t_, observer(i), bound...); });
    if (i + 1 < last()) add_until(facts::plan::size.launches, i);
    end_run(i);
  }
  /// The runs of this rank side by side, from one stop to the next.
  template <class Each>
  void runs_in_turns(const random_state& begin, Each& each) {
    memory_.follow(parts::program(t_).memory());
    for (std::int64_t i = first(); i < last(); ++i)
      one_call(i, begin, each, [&](const auto&... bound) { parts::take_inputs(t_, memory(i), bound...); });
    std::size_t next_sum = first_meeting;
    int from = 0;
    for (const stop& s : stops_) {
      run_parts(from, s.before);
      from = s.before;
      at_stop(s, next_sum);
    }
    run_parts(from, facts::plan::size.launches);
    for (std::int64_t i = first(); i < last(); ++i) {
      if (state_elements > 0) parts::program(t_).change_states(memory(i));
      end_run(i);
    }
  }
  /// Launches [from, to) of all runs of this rank, in turn.
  void run_parts(int from, int to) {
    if (from == to) return;
    const bool ends = to == facts::plan::size.launches;
    for (std::int64_t i = first(); i < last(); ++i) {
      parts::program(t_).run_part(memory(i), from, to, observer(i));
      if (i + 1 < last() && (settings_.overlap || ends)) add_until(to, i);
    }
    while (settings_.overlap && next_ < buckets.count && buckets.all[next_].launch < to) leave(last() - 1);
  }
  /// What a launch made becomes the sum of what it made in all runs, bucket `next_sum`, or gets planes of the neighbours; or these leave.
  void at_stop(const stop& s, std::size_t& next_sum) {
    const graph::launch& l = facts::plan::tables.launches[s.launch];
    const auto read = [&](std::int64_t i) -> const T* { return parts::program(t_).at(memory(i), l.in[0]); };
    const auto made = [&](std::int64_t i) { return parts::program(t_).at(memory(i), l.out); };
    if (meetings.all[s.meeting].size == 0) {
      waited_ += halos_.at_stop(s, l, facts::plan::tables.kernels[l.kernel].first, read, made);
      return;
    }
    const std::size_t b = next_sum++;
    for (std::int64_t i = first(); i < last(); ++i) sum_.add(b, i, made(i), parts::workers(t_));
    const auto begun = std::chrono::steady_clock::now();
    sum_.begin(b);
    sum_.finish(b);
    waited_ += since(begun);
    for (std::int64_t i = first(); i < last(); ++i) std::copy_n(sum_.sum(b), l.nest.extent[0], made(i));
  }

  /// Before each launch of run i: in the last run of this rank, what is complete leaves.
  auto observer(std::int64_t i) {
    return [this, i](int launch) {
      halos_.advance();
      if (i + 1 < last() || !settings_.overlap) return;
      while (next_ < buckets.count && buckets.all[next_].launch < launch) leave(i);
      if (next_ > 0) sum_.advance();
    };
  }
  /// The next buckets of run i, not the last one of this rank: those that are complete before launch `end`.
  void add_until(int end, std::int64_t i) {
    for (int b = next_; b < buckets.count && buckets.all[b].launch < end; ++b) add(b, i);
  }
  void end_run(std::int64_t i) {
    losses_[static_cast<std::size_t>(i)] = *result(i, 0) + T(0);  // no -0: zeros are added to it
    if (state_elements > 0) sum_.add(states_bucket, i, state_data(), parts::workers(t_));
  }
  void add(int b, std::int64_t i) {
    sum_.add(static_cast<std::size_t>(b), i, result(i, parts::first_gradient<Trainer>) + buckets.all[b].offset, parts::workers(t_));
  }
  /// The next bucket, after the last run of this rank (none: last() is first()) has made its part of it.
  void leave(std::int64_t run) {
    if (run >= first()) add(next_, run);
    sum_.begin(static_cast<std::size_t>(next_));
    ++next_;
  }

  std::vector<std::pair<std::string, std::string>> facts_of_this_rank();
  void append_training(std::vector<std::pair<std::string, std::string>>& rows);
};

/// Rows for agree(): what must be the same on all ranks.
template <class Trainer, communicator C, std::int64_t BucketBytes>
requires(
    !Trainer::is_refused) std::vector<std::pair<std::string, std::string>> data_parallel<Trainer, C, BucketBytes>::facts_of_this_rank() {
  std::vector<std::pair<std::string, std::string>> rows;
  append_program<facts, T>(rows);
  rows.emplace_back("runs of a step", std::to_string(settings_.runs));
  rows.emplace_back("summation", settings_.sum == summation::same_bits ? "same_bits" : "fast");
  rows.emplace_back("bytes of a bucket", std::to_string(BucketBytes));
  append_training(rows);
  append_parameters(rows, t_);
  for (const auto& b : t_.state_blocks())
    rows.emplace_back("values of the optimiser's " + std::string(b.name),
                      digest(b.values.data(), static_cast<std::int64_t>(b.values.size())));
  return rows;
}

/// Settings and progress.
template <class Trainer, communicator C, std::int64_t BucketBytes>
requires(!Trainer::is_refused) void data_parallel<Trainer, C, BucketBytes>::append_training(
    std::vector<std::pair<std::string, std::string>>& rows) {
  const auto number = [](double v) {
    char s[40];
    std::snprintf(s, sizeof s, "%.17g", v);
    return std::string(s);
  };
  const training_settings& s = t_.settings;
  rows.emplace_back("learning rate of the next step", number(parts::rate(t_)));
  rows.emplace_back("clip_norm", number(s.clip_norm));
  rows.emplace_back("clip_value", number(s.clip_value));
  rows.emplace_back("ema_decay", number(s.ema_decay));
  rows.emplace_back("accumulate", std::to_string(s.accumulate));
  rows.emplace_back("number of parameter groups", std::to_string(s.groups.size()));
  hash choices;
  if (!s.groups.empty())
    parts::each_choice(t_, [&](double rate, double decay) {
      choices.put(std::bit_cast<std::uint64_t>(rate)), choices.put(std::bit_cast<std::uint64_t>(decay));
    });
  rows.emplace_back("hash of what the groups choose", std::to_string(choices.value));
  // Whatever an optimiser's numbers are: what a step makes of 1 with a gradient of 1/2 and moments of 1/4.
  constexpr int kept = parts::optimiser_blocks<Trainer>, unit = static_cast<int>(kernels::update_unit);
  alignas(cache_line) T probe[unit * (kept + 2)];
  std::fill(probe, probe + unit, T(1)), std::fill(probe + unit, probe + 2 * unit, T(0.5));
  std::fill(probe + 2 * unit, std::end(probe), T(0.25));
  kernels::update_blocks<T, kept> blocks;
  blocks.parameters = probe, blocks.gradients = probe + unit;
  for (int k = 0; k < kept; ++k) blocks.state[k] = probe + (k + 2) * unit;
  kernels::update<kept>(t_.optimiser.template rule<T>(t_.progress.steps), blocks, unit);
  rows.emplace_back("what the optimiser makes of 1", number(static_cast<double>(probe[0])));
  for (int k = 0; k < kept; ++k)
    rows.emplace_back("what the optimiser makes of moment " + std::to_string(k), number(static_cast<double>(probe[(k + 2) * unit])));
  rows.emplace_back("steps made", std::to_string(t_.progress.steps));
  rows.emplace_back("seed of random numbers", std::to_string(t_.random().seed));
  rows.emplace_back("number of the next run", std::to_string(t_.random().run));
}

/// Of a trainer that is refused, whose mistake has been reported.
template <class Trainer, communicator C, std::int64_t BucketBytes>
class data_parallel {
 public:
  using value_type = typename Trainer::value_type;
  data_parallel(Trainer& t, C& c, data_parallel_settings s = {}) : t_(t), c_(c), settings_(s) {}
  Trainer& trainer() noexcept { return t_; }
  C& ranks() noexcept { return c_; }
  const data_parallel_settings& settings() const noexcept { return settings_; }
  std::int64_t first() const noexcept { return 0; }
  std::int64_t last() const noexcept { return 0; }
  template <class Each>
  value_type step(Each&&) {
    return {};
  }
  std::span<const value_type> losses() const noexcept { return {}; }
  double waited() const noexcept { return 0; }
  void agree() {}
  void changed() noexcept {}

 private:
  Trainer& t_;
  C& c_;
  data_parallel_settings settings_;
};

template <class Trainer, communicator C>
data_parallel(Trainer&, C&, data_parallel_settings = {}) -> data_parallel<Trainer, C>;

}  // namespace VOLUTE_ISA
}  // namespace distributed
}  // namespace volute
