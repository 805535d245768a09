// What runs of a program only read: parameters, states, and what is worked out from them alone (packed filters). One set serves any number
// of programs, of any batch or volume size, and threads.
#pragma once

#include <volute/core/mutex.hpp>
#include <volute/core/xtensor.hpp>
#include <volute/runtime/error.hpp>
#include <volute/runtime/facts.hpp>
#include <volute/runtime/files.hpp>
#include <volute/runtime/initialize.hpp>
#include <volute/runtime/nothing.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace volute {

/// A parameter of a program at run time.
template <class T>
struct parameter_entry {
  std::string_view path;  // as in PyTorch's state_dict: "3.conv1.weight"
  extents shape;
  T* data;
  bool learned = true;  // else a state, such as running statistics
};

namespace runtime {
inline namespace VOLUTE_ISA {

/// A parameter's path that the program does not have.
template <text Path>
struct unknown_path {
  static constexpr line wanted = line("a parameter named ") << Path.view();
  using failure = failed<text(""), to_text<wanted>(), text("got no such path")>;
};

/// The memory of one set of weights. Each change has a number; what is derived from the parameters remembers of which it was made.
template <class T>
class weight_store {
 public:
  struct derived {
    std::uint64_t key = 0;
    std::int64_t size = 0;
    T* data = nullptr;
    std::uint64_t version = 0;  // guarded by `mutex`
  };

  /// In `memory` as far as that suffices, in memory of its own beyond.
  explicit weight_store(std::int64_t elements, std::span<std::byte> memory = {})
      : elements_(elements), rest_(memory), parameters_(room(elements)) {
    std::memset(static_cast<void*>(parameters_), 0, static_cast<std::size_t>(elements) * sizeof(T));
  }
  T* parameters() const noexcept { return parameters_; }
  std::int64_t elements() const noexcept { return elements_; }

  std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  void changed() noexcept { version_.fetch_add(1, std::memory_order_acq_rel); }

  detail::mutex mutex;  // held while something derived is made, or made room for

  /// The one derived value of this key and size.
  derived& find(std::uint64_t key, std::int64_t size) {
    const detail::lock lock(mutex);
    for (const auto& d : derived_)
      if (d->key == key && d->size == size) return *d;
    auto made = std::make_unique<derived>();
    made->key = key, made->size = size;
    made->data = room(size);
    derived_.push_back(std::move(made));
    return *derived_.back();
  }
  /// Bytes of parameters, states and all that is derived for the programs that have used this set.
  std::int64_t bytes() {
    const detail::lock lock(mutex);
    std::int64_t n = elements_;
    for (const auto& d : derived_) n += d->size;
    return n * static_cast<std::int64_t>(sizeof(T));
  }

 private:
  std::int64_t elements_;
  std::span<std::byte> rest_;  // of the caller's memory
  std::vector<owned_memory> owned_;
  T* parameters_;
  std::atomic<std::uint64_t> version_{1};
  std::vector<std::unique_ptr<derived>> derived_;
  std::atomic<int> holders_{1};
  template <class>
  friend class store_handle;

  T* room(std::int64_t elements) {
    const std::int64_t bytes = bytes_of_tensor(elements * static_cast<std::int64_t>(sizeof(T)));
    std::byte* p = rest_.data();
    if (static_cast<std::int64_t>(rest_.size()) >= bytes)
      rest_ = rest_.subspan(static_cast<std::size_t>(bytes));
    else
      p = owned_.emplace_back(allocate(bytes)).get();
    return reinterpret_cast<T*>(p);
  }
};

/// Shares a store. (std::shared_ptr has virtual functions, which differ between files with and without run-time type information.)
template <class T>
class store_handle {
 public:
  explicit store_handle(std::int64_t elements, std::span<std::byte> memory = {}) : store_(new weight_store<T>(elements, memory)) {}
  store_handle(const store_handle& h) noexcept : store_(h.store_) {
    if (store_ != nullptr) store_->holders_.fetch_add(1, std::memory_order_relaxed);
  }
  store_handle(store_handle&& h) noexcept : store_(std::exchange(h.store_, nullptr)) {}
  store_handle& operator=(store_handle h) noexcept {
    std::swap(store_, h.store_);
    return *this;
  }
  ~store_handle() {
    if (store_ != nullptr && store_->holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete store_;
  }
  weight_store<T>* operator->() const noexcept { return store_; }
  weight_store<T>& operator*() const noexcept { return *store_; }
  friend bool operator==(const store_handle&, const store_handle&) = default;

 private:
  weight_store<T>* store_;
};

/// Why programs of facts B cannot use the weights of facts A: a failure, or void.
template <class A, class B>
constexpr auto sharing_failure() {
  constexpr int here = A::graph.size.parameters, there = B::graph.size.parameters;
  constexpr int differs = [] {
    for (int i = 0; i < here && i < there; ++i) {
      const auto &a = A::graph.parameters[i], &b = B::graph.parameters[i];
      if (!(a.path == b.path) || !(a.shape == b.shape) || a.learned != b.learned) return i;
    }
    return -1;
  }();
  if constexpr (differs >= 0) {
    constexpr line wanted = line("weights with ") << B::graph.parameters[differs].path.view() << ' ' << B::graph.parameters[differs].shape;
    constexpr line got = line("got ") << A::graph.parameters[differs].path.view() << ' ' << A::graph.parameters[differs].shape;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else if constexpr (here != there) {
    constexpr line wanted = line("weights of ") << there << " parameters", got = line("got ") << here;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}

/// What programs, models, trainers and weights alike offer of their parameters. Self has weights(), and facts.
///
/// What is called on an object that may change counts as a change of the parameters: what was derived from them is made again before the
/// next run. Reading does not: std::as_const(m).parameter_table().
template <class Self>
class parameter_members {
 public:
  /// All learned parameters as one block, in the order of parameter_table, each beginning on a cache line (the gaps hold zeros).
  auto parameter_values() noexcept { return self().weights().parameter_values(); }
  auto parameter_values() const noexcept { return self().weights().parameter_values(); }
  /// All states as one block, laid out in the same way.
  auto state_values() noexcept { return self().weights().state_values(); }
  auto state_values() const noexcept { return self().weights().state_values(); }
  /// Path, shape and memory of each parameter; states come last.
  auto parameter_table() noexcept { return self().weights().parameter_table(); }
  auto parameter_table() const noexcept { return self().weights().parameter_table(); }
  /// One parameter by its path, as a tensor: parameter<"0.weight">().
  template <text Path>
  auto parameter() {
    return parameter_of<Path>(self().weights());
  }
  template <text Path>
  auto parameter() const {
    return parameter_of<Path>(self().weights());
  }
  /// To be called after parameters were written through a view that was taken earlier.
  void parameters_changed() noexcept { self().weights().parameters_changed(); }

 private:
  Self& self() noexcept { return static_cast<Self&>(*this); }
  const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  template <text Path, class W>
  static auto parameter_of(W& w) {
    using facts = typename W::facts;
    constexpr int i = find_parameter<Path>(facts::graph);
    if constexpr (i >= 0) {
      return tensor_view<facts::graph.parameters[i].shape>(w.parameter_data(i));
    } else {
      if constexpr (!Self::is_refused)  // whose mistake has been reported
        static_assert(detail::accepted<detail::refused_for<typename unknown_path<Path>::failure>>::value);
      return nothing{};
    }
  }
};

/// A handle on a set of weights for programs of `Facts`. A copy of the handle is the same set; clone() is another one.
template <class Facts, class T>
class weight_set : public parameter_members<weight_set<Facts, T>>, public file_members<weight_set<Facts, T>> {
 public:
  using value_type = T;
  using facts = Facts;
  static constexpr bool is_refused = false;

  /// A new set, with the layers' initial values for seed 0. Allocates.
  weight_set() : store_(facts::parameter_elements) { initialize(0); }
  /// The same in memory of the caller's, facts::weights_bytes from a cache line on, which outlives all handles; what lies in it is lost.
  /// Allocates a few words, and what programs of other sizes derive from the parameters for themselves. Throws shape_error.
  explicit weight_set(std::span<std::byte> memory) : store_(facts::parameter_elements, checked(memory)) { initialize(0); }
  /// The set of another program, which must have the same parameters in the same order: another batch or volume size, a trainer's.
  template <class Other>
  weight_set(const weight_set<Other, T>& other) : store_(other.store_) {
    using failure = decltype(sharing_failure<Other, Facts>());
    if constexpr (!std::is_void_v<failure>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }

  /// A set of its own with the same values.
  weight_set clone() const {
    weight_set w{store_handle<T>(facts::parameter_elements)};
    std::memcpy(static_cast<void*>(w.store_->parameters()), store_->parameters(), facts::parameter_elements * sizeof(T));
    return w;
  }
  /// Whether two handles stand for the same set.
  friend bool operator==(const weight_set& a, const weight_set& b) noexcept { return a.store_ == b.store_; }
  /// Bytes of parameters, states and packed filters for all the programs that have used this set.
  std::int64_t bytes() const { return store_->bytes(); }

  /// Initial values of all parameters, from a seed; the same on every machine.
  void initialize(std::uint64_t seed) {
    const auto& g = facts::graph;
    for (int i = 0; i < g.size.parameters; ++i) {
      const auto& p = g.parameters[i];
      runtime::initialize(at(i), p.shape.size(), static_cast<initializer::kind_t>(p.init_kind), p.init_scale, seed, p.path.view());
    }
    parameters_changed();
  }

  // As parameter_members says.
  std::span<T> parameter_values() noexcept {
    parameters_changed();
    return {store_->parameters(), static_cast<std::size_t>(facts::learned_elements)};
  }
  std::span<const T> parameter_values() const noexcept { return {store_->parameters(), static_cast<std::size_t>(facts::learned_elements)}; }
  std::span<T> state_values() noexcept {
    parameters_changed();
    return {store_->parameters() + facts::learned_elements, static_cast<std::size_t>(facts::parameter_elements - facts::learned_elements)};
  }
  std::span<const T> state_values() const noexcept {
    return {store_->parameters() + facts::learned_elements, static_cast<std::size_t>(facts::parameter_elements - facts::learned_elements)};
  }
  auto parameter_table() noexcept {
    parameters_changed();
    return table<T>();
  }
  auto parameter_table() const noexcept { return table<const T>(); }
  T* parameter_data(int i) noexcept {
    parameters_changed();
    return at(i);
  }
  const T* parameter_data(int i) const noexcept { return at(i); }
  void parameters_changed() noexcept { store_->changed(); }
  weight_set& weights() noexcept { return *this; }
  const weight_set& weights() const noexcept { return *this; }

  /// What keeps them, for programs, which make what is derived from them there.
  weight_store<T>& store() const noexcept { return *store_; }

 private:
  template <class, class>
  friend class weight_set;
  explicit weight_set(store_handle<T> s) : store_(std::move(s)) {}

  store_handle<T> store_;

  static std::span<std::byte> checked(std::span<std::byte> memory) {
    require_memory("memory of weights", memory, facts::weights_bytes);
    return memory;
  }
  T* at(int i) const noexcept { return store_->parameters() + facts::graph.parameters[i].offset; }
  template <class Element>
  auto table() const noexcept {
    std::array<parameter_entry<Element>, static_cast<std::size_t>(facts::graph.size.parameters)> t{};
    for (int i = 0; i < facts::graph.size.parameters; ++i) {
      const auto& p = facts::graph.parameters[i];
      t[static_cast<std::size_t>(i)] = {p.path.view(), p.shape, at(i), p.learned};
    }
    return t;
  }
};

}  // namespace VOLUTE_ISA
}  // namespace runtime

inline namespace VOLUTE_ISA {

/// The weights of a program, model or trainer, apart from it: shared_weights<decltype(m)> w = m.weights(); then decltype(m) second(w).
template <class Program>
using shared_weights = runtime::weight_set<typename Program::facts, typename Program::value_type>;

}  // namespace VOLUTE_ISA
}  // namespace volute
