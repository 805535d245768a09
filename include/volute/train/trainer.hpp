// Training: the loss, its gradients and the optimiser's update as one program with one call a step, which allocates nothing.
#pragma once

#include <volute/kernels/update.hpp>
#include <volute/runtime/model.hpp>
#include <volute/train/copy_parameters.hpp>
#include <volute/train/groups.hpp>
#include <volute/train/optimiser.hpp>
#include <volute/train/schedule.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace volute {
inline namespace VOLUTE_ISA {

/// What may be changed between any two steps.
struct training_settings {
  /// The learning rate of step 0, 1, ... (see train/schedule.hpp), asked for before the run that makes the step, and written to the
  /// optimiser before the update. Empty: as the optimiser says.
  std::function<double(std::int64_t)> schedule{};
  double clip_norm = 0;   // gradients with a larger norm, over all parameters, are scaled down to it (torch clip_grad_norm_); 0: off
  double clip_value = 0;  // then each is cut to at most this size (torch clip_grad_value_); 0: off
  double ema_decay = 0;   // after each update average = decay average + (1 - decay) weights; it begins as the weights; 0: off
  int accumulate = 1;     // so many runs, the mean of their gradients, make one update
  std::vector<parameter_group> groups{};  // other rates or weight decay for some parameters; one that chooses none is refused
};

/// Where training stands: with parameter_table(), state_blocks() and random() all that a later run needs to go on.
struct training_progress {
  std::int64_t steps = 0;    // updates made
  std::int64_t waiting = 0;  // runs whose gradients are in "accumulated"
  bool averages = false;     // "ema" holds averages
};

/// A flat block of numbers, one for each number of parameter_values(), or of the part of it that is trained.
template <class T>
struct state_block {
  std::string_view name;
  std::span<T> values;
};

namespace training_parts {

/// For those who make the parts of a step themselves: runs, and an update from gradients of their own (distributed/data_parallel.hpp).
struct parts_of_step;

/// Zeros on a cache line. Blocks that are never used cost no memory: the system makes a page of them when it is touched.
template <class T>
class zeros {
 public:
  explicit zeros(std::int64_t n) : memory_(std::calloc(static_cast<std::size_t>(n) * sizeof(T) + 64, 1)) {
    if (memory_ == nullptr) fail("no memory for the state of the optimiser");
  }
  T* data() const noexcept { return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(memory_.get()) + 63) / 64 * 64); }

 private:
  struct release {
    void operator()(void* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<void, release> memory_;
};

/// How many operands of a loss are targets.
template <class L>
constexpr int targets_of() {
  if constexpr (requires { L::targets; })
    return L::targets;
  else
    return 1;
}

/// The loss of a network: the last `targets` operands belong to the loss, those before to the network.
template <class Net, class Loss, class... A, std::size_t... I, std::size_t... K>
constexpr auto loss_of(std::tuple<A...> all, std::index_sequence<I...>, std::index_sequence<K...>) {
  return invoke<Loss>(invoke<Net>(std::get<I>(all)...), std::get<sizeof...(I) + K>(all)...);
}
template <class Net, class Loss, class... Input>
constexpr auto loss_of() {
  constexpr int targets = targets_of<Loss>(), inputs = static_cast<int>(sizeof...(Input)) - targets;
  if constexpr (inputs < 1) {
    constexpr line wanted = line("trainer wants inputs, then ") << targets;
    constexpr line got = line("got ") << static_cast<int>(sizeof...(Input)) << " in all";
    using failure = failed<text(""), to_text<wanted>(), to_text<got>()>;
    static_assert(detail::accepted<detail::refused_for<failure>>::value);
    return reported{};
  } else {
    constexpr std::make_index_sequence<static_cast<std::size_t>(inputs)> first;
    constexpr std::make_index_sequence<static_cast<std::size_t>(targets)> last;
    // First on operands that do not report a mistake, so that it is reported here and the message stays short.
    using outcome = decltype(loss_of<Net, Loss>(std::tuple<formal<0, Input::shape()>...>{}, first, last));
    if constexpr (is_failed<outcome>) {
      static_assert(detail::accepted<detail::refused_for<outcome>>::value);
      return reported{};
    } else {
      return loss_of<Net, Loss>(std::tuple<Input...>{}, first, last);
    }
  }
}
/// The gradients of a loss that must be one number.
template <class Loss, class Set>
constexpr auto gradients_of() {
  using failure = decltype(detail::gradient_failure<Loss, no_cotangent>());
  if constexpr (std::is_void_v<failure>) {
    return volute::gradient(Loss{}, Set{});
  } else {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
    return reported{};
  }
}

}  // namespace training_parts

/// Trains the parameters in `Set` on Loss; More are further results of the same run. A trainer can be moved; a copy is a training of its
/// own that takes the very same steps from there on. Models that use its weights see each update: model<net, x> m(t.weights()).
template <class T, class Optimiser, class Set, class Loss, class... More>
class basic_trainer_of : public runtime::parameter_members<basic_trainer_of<T, Optimiser, Set, Loss, More...>>,
                         public runtime::file_members<basic_trainer_of<T, Optimiser, Set, Loss, More...>> {
  using loss = decltype(volute::training(Loss{}));
  using list = output_list<loss, decltype(volute::training(More{}))..., decltype(training_parts::gradients_of<loss, Set>())>;

 public:
  using value_type = T;
  using program_type = program<list{}, T>;
  using facts = typename program_type::facts;
  using weights_type = typename program_type::weights_type;
  static constexpr bool is_refused = program_type::is_refused;

  explicit basic_trainer_of(Optimiser o = {}, training_settings s = {}) : optimiser(o), settings(std::move(s)) { require_parameters(); }
  /// Trains weights that models may use too; they do not run during a step.
  explicit basic_trainer_of(weights_type w, Optimiser o = {}, training_settings s = {})
      : optimiser(o), settings(std::move(s)), program_(std::move(w)) {
    require_parameters();
  }
  basic_trainer_of(basic_trainer_of&&) noexcept = default;
  basic_trainer_of& operator=(basic_trainer_of&&) noexcept = default;
  basic_trainer_of(const basic_trainer_of& t)
      : optimiser(t.optimiser),
        settings(t.settings),
        progress(t.progress),
        program_(t.program_),
        workers_(t.workers_),
        partial_(t.partial_),
        norm_(t.norm_) {
    for (int k = 0; k < Optimiser::blocks + 2; ++k)
      if (t.holds(k)) std::copy_n(t.block(k), elements, block(k));
  }
  basic_trainer_of& operator=(const basic_trainer_of& t) {
    if (this != &t) *this = basic_trainer_of(t);
    return *this;
  }

  /// The weights that are trained: a model made on them, model<net, x> m(t.weights()), sees each update.
  weights_type& weights() noexcept { return program_.weights(); }
  const weights_type& weights() const noexcept { return program_.weights(); }

  Optimiser optimiser;
  training_settings settings;

  /// One run on bound inputs, t.step(x = batch, labels = classes), and, if it is the last of settings.accumulate, one update.
  /// Returns the loss before the update. Throws shape_error as a program does, and what the schedule throws; then nothing has happened.
  template <class... Node, class... V>
  T step(const binding<Node, V>&... b) {
    if constexpr (is_refused) {
      return T(0);
    } else {
      const double lr = rate();
      choose_groups();
      program_.run_into(nullptr, b...);
      update(lr);
      return *program_.output_data(0);
    }
  }
  /// The same on dense tensors, in the order of facts::graph.inputs. Throws what the schedule throws.
  T step(const T* const* inputs) {
    if constexpr (is_refused) {
      return T(0);
    } else {
      T* out[facts::graph.size.outputs + 1];
      for (int i = 0; i < facts::graph.size.outputs; ++i) out[i] = program_.output_data(i);
      const double lr = rate();
      choose_groups();
      program_.run(inputs, out);
      update(lr);
      return *out[0];
    }
  }

  /// Result I of the last run, a tensor view (a number if it is one); 0 is the loss.
  template <int I>
  auto output() {
    using E = std::tuple_element_t<static_cast<std::size_t>(I), std::tuple<Loss, More...>>;
    if constexpr (is_refused)
      return runtime::nothing{};
    else if constexpr (E::shape().rank == 0)
      return T(*program_.output_data(I));
    else
      return tensor_view<E::shape()>(program_.output_data(I));
  }

  /// Later steps share their work with the workers of `e`; see program::use. Results have the same bits for any executor.
  void use(executor& e) {
    program_.use(e);
    workers_ = {e.threads() > 1 ? &e : nullptr, nullptr, 0};
  }

  /// Initial values from a seed; the training begins anew, random numbers too (from their own seed, which stays).
  void initialize(std::uint64_t seed) {
    program_.initialize(seed);
    program_.seed(program_.random().seed);
    for (int k = 0; k < Optimiser::blocks + 2; ++k)
      if (holds(k)) std::fill_n(block(k), elements, T(0));
    progress = {};
  }

  /// Random numbers of the network (dropout, noise): see program::seed.
  void seed(std::uint64_t s) noexcept { program_.seed(s); }
  random_state random() const noexcept { return program_.random(); }
  void set_random(random_state s) noexcept { program_.set_random(s); }

  /// The averaged weights for model::copy_parameters, m.copy_parameters(t.ema()): parameters without an average as they are.
  class averaged {
   public:
    using facts = typename basic_trainer_of::facts;
    static constexpr bool is_refused = basic_trainer_of::is_refused;
    auto parameter_table() const noexcept {
      auto all = of_.parameter_table();
      if (of_.progress.averages)
        for (int k = 0; k < where.entry_count; ++k)
          all[static_cast<std::size_t>(where.entries[k].parameter)].data = of_.block(ema_block) + where.entries[k].offset;
      return all;
    }

   private:
    friend basic_trainer_of;
    explicit averaged(const basic_trainer_of& of) : of_(of) {}
    const basic_trainer_of& of_;
  };
  averaged ema() const noexcept { return averaged(*this); }

  /// The norm of the gradients of the last update before clipping; known only while clip_norm is on.
  double gradient_norm() const noexcept { return norm_; }

  /// Where the training stands; to go on with one that was saved, write it, the parameters and the state blocks.
  training_progress progress;

  /// What the optimiser keeps, "ema" and "accumulated", as far as they are in use: to restore them, set `progress` first.
  std::vector<state_block<T>> state_blocks() {
    std::vector<state_block<T>> found;
    const auto add = [&](std::string_view name, int k) { found.push_back({name, {block(k), static_cast<std::size_t>(elements)}}); };
    for (int k = 0; k < Optimiser::blocks + 2; ++k)
      if (in_use(k)) add(k < Optimiser::blocks ? Optimiser::names[k] : k == ema_block ? "ema" : "accumulated", k);
    return found;
  }
  /// A block of state_blocks() by the parameters that its numbers belong to: path, shape and memory of each.
  auto state_table(std::span<T> values) {
    std::array<parameter_entry<T>, static_cast<std::size_t>(where.entry_count)> t{};
    for (std::size_t k = 0; k < t.size(); ++k) {
      const auto& p = facts::graph.parameters[where.entries[k].parameter];
      t[k].path = p.path.view(), t[k].shape = p.shape, t[k].data = values.data() + where.entries[k].offset;
    }
    return t;
  }

 protected:
  friend training_parts::parts_of_step;
  /// One run on bound inputs, with a call of observe(i) before launch i.
  template <class Observer, class... Node, class... V>
  void observed_run(Observer&& observe, const binding<Node, V>&... b) {
    program_.run_observed(static_cast<Observer&&>(observe), nullptr, b...);
  }
  /// The inputs of a run that is made in parts: see program::take_inputs.
  template <class... Node, class... V>
  void take_inputs(workspace& w, const binding<Node, V>&... b) {
    program_.take_inputs(w, b...);
  }

 private:
  static constexpr const auto& where = runtime::gradient_layout<list, facts>::table;
  static constexpr std::int64_t elements = where.elements;
  static constexpr std::size_t norm_partials = static_cast<std::size_t>(kernels::norm_partials(elements));
  static constexpr int ema_block = Optimiser::blocks, accumulated_block = Optimiser::blocks + 1;
  static constexpr int first_gradient = 1 + static_cast<int>(sizeof...(More));

  static constexpr void require_parameters() {
    if constexpr (!is_refused && where.entry_count == 0)
      static_assert(detail::accepted<detail::refused_for<failed<text(""), text("trainer wants parameters"), text("got none")>>>::value);
  }

  program_type program_;
  kernels::team<T> workers_;
  training_parts::zeros<T> blocks_{(Optimiser::blocks + 2) * elements};
  std::vector<double> partial_ = std::vector<double>(norm_partials);
  double norm_ = 0;

  T* block(int k) const noexcept { return blocks_.data() + k * elements; }
  bool in_use(int k) const {
    if (k < Optimiser::blocks) return optimiser.uses(k);
    return k == ema_block ? progress.averages || settings.ema_decay > 0 : progress.waiting > 0 || settings.accumulate > 1;
  }

  /// Whether a block is more than zeros: also one that is not in use now, and may be again (a momentum that is off for a while).
  bool holds(int k) const {
    return in_use(k) || std::any_of(block(k), block(k) + elements, [](T v) { return v != 0; });
  }

  /// The learning rate of the update that follows the next run, if one does. Numbers that mean nothing are refused here, before the run:
  /// they would spoil every weight, or be off in silence.
  double rate() const {
    if constexpr (requires { optimiser.check(); }) optimiser.check();
    require_not_negative("settings.clip_norm", settings.clip_norm);
    require_not_negative("settings.clip_value", settings.clip_value);
    require_number("settings.ema_decay", "0 to 1", settings.ema_decay, 0, 1);
    if (settings.accumulate < 1) fail_number("settings.accumulate", "at least 1", settings.accumulate);
    if (progress.waiting + 1 < settings.accumulate) return optimiser.lr;
    const double lr = settings.schedule ? settings.schedule(progress.steps) : optimiser.lr;
    if (!std::isfinite(lr)) fail_number("learning rate", "a finite number", lr);
    return lr;
  }
  /// What the groups make of the optimiser for one parameter.
  struct group_choice {
    double rate = 1;
    std::optional<double> weight_decay;
    friend bool operator==(const group_choice&, const group_choice&) = default;
  };
  std::array<group_choice, static_cast<std::size_t>(where.entry_count) + 1> choices_;
  /// Asks the groups, before the run: what they throw, and a group that chooses nothing, leaves the training as it was.
  void choose_groups() {
    if (settings.groups.empty()) return;
    decltype(choices_) chosen;
    for (std::size_t i = 0; i < settings.groups.size(); ++i) {
      const parameter_group& g = settings.groups[i];
      bool any = false;
      for (int k = 0; k < where.entry_count && g.where; ++k) {
        const auto& p = facts::graph.parameters[where.entries[k].parameter];
        if (!g.where(p.path.view(), p.shape)) continue;
        any = true;
        if (g.rate && !std::isfinite(*g.rate)) fail_number("rate of a group of parameters", "a finite number", *g.rate);
        if (g.weight_decay) require_not_negative("weight_decay of a group of parameters", *g.weight_decay);
        group_choice& c = chosen[static_cast<std::size_t>(k)];
        if (g.rate) c.rate = *g.rate;
        if (g.weight_decay) c.weight_decay = g.weight_decay;
      }
      const auto expected = [&](const char* what) { fail("group " + std::to_string(i) + " of parameters: expected " + what); };
      if (!any) expected("a parameter that it chooses, found none");
      if constexpr (!requires(Optimiser & o) { o.weight_decay = 0.0; })
        if (g.weight_decay) expected("an optimiser with weight_decay, found one without");
    }
    choices_ = chosen;
  }
  /// Neighbours of equal choice are updated in one piece.
  void update_groups(const kernels::update_blocks<T, Optimiser::blocks>& b) noexcept {
    for (int k = 0, next = 0; k < where.entry_count; k = next) {
      const group_choice& c = choices_[static_cast<std::size_t>(k)];
      const auto parameter_at = [](int i) { return facts::graph.parameters[where.entries[i].parameter].offset; };
      const auto end_of = [](int i) {  // of the gradients
        return i + 1 < where.entry_count ? where.entries[i + 1].offset : elements;
      };
      next = k + 1;
      while (next < where.entry_count && parameter_at(next) - parameter_at(k) == where.entries[next].offset - where.entries[k].offset &&
             choices_[static_cast<std::size_t>(next)] == c)
        ++next;
      Optimiser o = optimiser;
      o.lr *= c.rate;
      if constexpr (requires { o.weight_decay = 0.0; })
        if (c.weight_decay) o.weight_decay = *c.weight_decay;
      auto part = b.from(where.entries[k].offset, parameter_at(k));
      part.frozen = c.rate == 0;
      kernels::update<Optimiser::blocks>(o.template rule<T>(progress.steps), part, end_of(next - 1) - where.entries[k].offset, workers_);
    }
  }
  void update(double lr) noexcept {
    const T* const gradients = program_.output_data(first_gradient);  // the results after it follow without a gap
    if (progress.waiting + 1 < settings.accumulate) {
      kernels::accumulate(gradients, block(accumulated_block), progress.waiting == 0, elements, workers_);
      ++progress.waiting;
      return;
    }
    apply(lr, gradients, progress.waiting > 0 ? block(accumulated_block) : nullptr, progress.waiting + 1);
    progress.waiting = 0;
  }
  /// One update by the mean of so many runs' gradients, whose sum is gradients + earlier.
  void apply(double lr, const T* gradients, const T* earlier, std::int64_t runs) noexcept {
    T* const parameters = program_.parameter_values().data();
    optimiser.lr = lr;
    kernels::update_blocks<T, Optimiser::blocks> b;
    b.gradients = gradients;
    b.parameters = parameters;
    b.earlier = earlier;
    double scale = 1.0 / static_cast<double>(runs);
    int exponent = 0;  // the gradients are multiplied by scale * 2^exponent
    if (settings.clip_norm > 0) {
      kernels::wide_norm norm = kernels::norm(gradients, b.earlier, elements, partial_.data(), workers_);
      norm.size *= scale;
      norm_ = norm.value();
      if (norm.exponent < 0) norm = {norm_, 0};
      const double clipped = settings.clip_norm / (norm.size + std::ldexp(1e-6, -norm.exponent));
      if (!(std::ldexp(clipped, -norm.exponent) >= 1))  // a norm that is no number spoils the step and does not hide
        scale *= clipped, exponent = -norm.exponent;
    }
    if (const int all = scale > 0 ? exponent + std::ilogb(scale) : 0; all < std::numeric_limits<T>::min_exponent) {
      b.unit = static_cast<T>(std::ldexp(1.0, all / 2));
      exponent -= all / 2;
    }
    b.scale = static_cast<T>(std::ldexp(scale, exponent));
    if (settings.clip_value > 0) b.limit = static_cast<T>(settings.clip_value);
    for (int k = 0; k < Optimiser::blocks; ++k)
      if (optimiser.uses(k)) b.state[k] = block(k);
    if (settings.ema_decay > 0) {
      b.average = block(ema_block);
      b.follow = static_cast<T>(1 - settings.ema_decay);
      if (!progress.averages)
        for (int k = 0; k < where.range_count; ++k)
          std::copy_n(parameters + where.ranges[k].parameters, where.ranges[k].size, b.average + where.ranges[k].gradients);
      progress.averages = true;
    }
    if (settings.groups.empty()) {
      const auto rule = optimiser.template rule<T>(progress.steps);
      for (int k = 0; k < where.range_count; ++k)
        kernels::update<Optimiser::blocks>(rule, b.from(where.ranges[k].gradients, where.ranges[k].parameters), where.ranges[k].size,
                                           workers_);
    } else {
      update_groups(b);
    }
    ++progress.steps;
  }
};

/// Trains a network on a loss: trainer<net, nn::cross_entropy<>, adam, input<"x", 4, 1, 10, 10, 10>, input<"labels", 4>> t{adam{.lr =
/// 1e-3}}; float loss = t.step(batch, labels). The last input is the target (or the last ones, see nn/loss.hpp); the loss may be any
/// module.
template <class T, class Net, class Loss, class Optimiser, auto... Inputs>
class basic_trainer : public basic_trainer_of<T, Optimiser, parameter_set<>,
                                              decltype(training_parts::loss_of<Net, Loss, std::remove_const_t<decltype(Inputs)>...>())> {
  using base = basic_trainer_of<T, Optimiser, parameter_set<>,
                                decltype(training_parts::loss_of<Net, Loss, std::remove_const_t<decltype(Inputs)>...>())>;

 public:
  using base::base;
  using base::step;
  /// One run on tensors, inputs and then targets, in their order; returns the loss before the update. See basic_trainer_of::step.
  template <class... V>
  requires(sizeof...(V) == sizeof...(Inputs) && sizeof...(V) > 1) T step(const V&... v) {
    return base::step(binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...);
  }

 private:
  friend training_parts::parts_of_step;
  using base::observed_run;
  template <class Observer, class... V>
  requires(sizeof...(V) == sizeof...(Inputs) && sizeof...(V) > 1) void observed_run(Observer&& observe, const V&... v) {
    base::observed_run(static_cast<Observer&&>(observe), binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...);
  }
  using base::take_inputs;
  template <class... V>
  requires(sizeof...(V) == sizeof...(Inputs) && sizeof...(V) > 1) void take_inputs(workspace& w, const V&... v) {
    base::take_inputs(w, binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...);
  }
};
/// basic_trainer with elements of float.
template <class Net, class Loss, class Optimiser, auto... Inputs>
using trainer = basic_trainer<float, Net, Loss, Optimiser, Inputs...>;

namespace training_parts {
/// The trainer of a list of outputs.
template <class T, class Optimiser, class Set, class Outputs>
struct trainer_type;
template <class T, class Optimiser, class Set, class... E>
struct trainer_type<T, Optimiser, Set, output_list<E...>> {
  using type = basic_trainer_of<T, Optimiser, Set, E...>;
};
}  // namespace training_parts

/// Trains whatever expression: trainer_of<outputs(loss, logits), adam, "generator"> trains the parameters at or below the paths given
/// (none: all) on the first output, which must be a scalar; the further ones are computed too and can be read with output<1>() and so on.
template <auto Outputs, class Optimiser, text... Paths>
using trainer_of =
    typename training_parts::trainer_type<float, Optimiser, parameter_set<Paths...>, std::remove_const_t<decltype(Outputs)>>::type;

}  // namespace VOLUTE_ISA
}  // namespace volute
