// Volute beside its peers, workload by workload: started by bench/run.
#include <dlfcn.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "machine.hpp"
#include "onednn.hpp"
#include "timing.hpp"
#include "workload.hpp"

namespace {

using namespace compare;

struct options {
  int threads = 1;
  std::regex filter{""};
  bool quick = false;
  std::string json;
  std::vector<const char*> onednn;
  std::string torch;
  int rounds() const { return quick ? 3 : 9; }
};

/// torch_peer.py, between two named pipes.
class torch_process {
 public:
  explicit torch_process(const std::string& pipes) : to_(pipes + "/requests"), from_(pipes + "/answers") { std::getline(from_, version); }
  std::string ask(const std::string& request) {
    std::string answer;
    if (!(to_ << request << std::endl) || !std::getline(from_, answer)) throw std::runtime_error("torch_peer.py ended at: " + request);
    return answer;
  }
  contestant as_contestant() {
    return {"PyTorch " + version, [this](double budget, std::vector<double>& samples) {
              std::istringstream answer(ask("turn " + std::to_string(budget)));
              for (double s; answer >> s;) samples.push_back(s);
            }};
  }
  std::string version;

 private:
  std::ofstream to_;  // opened first, as the other side does
  std::ifstream from_;
};

struct onednn_library {
  explicit onednn_library(const char* path) {
    void* const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) throw std::runtime_error(dlerror());
    std::string version;
    reinterpret_cast<onednn_version*>(dlsym(module, "compare_onednn_version"))(version);
    ways = reinterpret_cast<onednn_ways*>(dlsym(module, "compare_onednn_ways"));
    name = "oneDNN " + version;
  }
  std::string name;
  onednn_ways* ways;
};

/// Geometric means as they gather.
struct mean {
  double logarithms = 0;
  int count = 0;
  void add(double v) { logarithms += std::log(v), ++count; }
  double value() const { return std::exp(logarithms / std::max(1, count)); }
};

struct summary {
  mean volute, peer, ratio;
  int slower = 0;
  double worst = HUGE_VAL;
  void add(double v, double p, double roofline) {
    volute.add(v / roofline), peer.add(p / roofline), ratio.add(p / v);
    slower += v > 1.05 * p;
    worst = std::min(worst, p / v);
  }
};

class report {
 public:
  explicit report(const options& o) : options_(o), json_(o.json) {
    if (!json_) throw std::runtime_error("cannot write " + o.json);
    json_ << "[";
  }
  ~report() { json_ << "\n]\n"; }
  bool empty() const { return first_; }
  void add(const std::string& workload, const char* pass_name, double roofline, std::vector<contestant>& all, bool tail) {
    for (contestant& c : all) {
      json_ << (first_ ? "\n" : ",\n") << R"({"workload": ")" << workload << R"(", "pass": ")" << pass_name << R"(", "threads": )"
            << options_.threads << R"(, "implementation": ")" << c.name << R"(", "median_us": )" << c.median() << R"(, "min_us": )"
            << c.least() << R"(, "roofline_us": )" << roofline;
      if (tail) json_ << R"(, "p99_us": )" << c.quantile(0.99);
      json_ << "}" << std::flush;
      first_ = false;
    }
  }

 private:
  const options& options_;
  std::ofstream json_;
  bool first_ = true;
};

/// The name of a library without the way in which it was used.
std::string family(const std::string& name) { return name.substr(0, name.find(',')); }

/// The fastest by the median; all but the first are peers.
contestant* best_peer(std::vector<contestant>& all, const std::string& of = "") {
  contestant* best = nullptr;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].peer && (of.empty() || family(all[i].name) == of) && (best == nullptr || all[i].median() < best->median())) best = &all[i];
  return best;
}

floats random_tensor(int64_t size, int seed) {
  floats v(static_cast<std::size_t>(size));
  for (int64_t i = 0; i < size; ++i) v[static_cast<std::size_t>(i)] = noise(i, seed);
  return v;
}

double largest_difference(const floats& a, const floats& b) {
  float difference = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : HUGE_VALF);
    largest = std::max(largest, std::abs(b[i]));
  }
  return static_cast<double>(difference / largest);
}

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, v < 1 ? "%.3f" : v < 100 ? "%.2f" : "%.0f", v);
  return text;
}
std::string cell(contestant* c) { return c == nullptr ? "" : number(c->median()); }

class benchmark {
 public:
  explicit benchmark(const options& o) : options_(o), report_(o), patience_(o.threads, o.quick ? 120 : 600) {
    patience_.settle();
    machine_ = measure_ceilings(o.threads);
    std::printf("| ceiling, %d thread%s | |\n|---|---:|\n| float FMA peak | %.1f GFLOP/s |\n", o.threads, o.threads > 1 ? "s" : "",
                machine_.peak * 1e-9);
    std::printf("| L1 / L2 / L3 / memory read | %.0f / %.0f / %.0f / %.1f GB/s |\n\n", machine_.l1 * 1e-9, machine_.l2 * 1e-9,
                machine_.l3 * 1e-9, machine_.memory * 1e-9);
    for (const char* path : o.onednn) {
      libraries_.emplace_back(path);
      families_.push_back(libraries_.back().name);
    }
    if (!o.torch.empty()) {
      torch_.emplace(o.torch);
      families_.push_back("PyTorch " + torch_->version);
    }
    std::fflush(stdout);
  }

  void convolutions() {
    std::puts("Times are medians in microseconds; a peer's is that of its best way.\n");
    std::printf("| workload | pass | roofline | Volute | least | GFLOP/s | x roofline |");
    for (const std::string& f : families_) std::printf(" %s |", f.c_str());
    std::printf(" best peer / Volute |\n|---|---|---:|---:|---:|---:|---:|");
    for (std::size_t i = 0; i <= families_.size(); ++i) std::printf("---:|");
    std::puts("");
    summary passes[3], all;
    for (const auto& [index, w] : conv3d_workloads())
      for (const pass p : {pass::forward, pass::data, pass::weights})
        if (std::regex_search(w.name + "/" + pass_names[static_cast<int>(p)], options_.filter))
          convolution(w, p, passes[static_cast<int>(p)], all);
    std::puts(
        "\n| geometric means | rows | Volute / roofline | best peer / roofline | best peer / Volute | worst row | rows slower than 1.05 "
        "best peer |");
    std::puts("|---|---:|---:|---:|---:|---:|---:|");
    const auto print = [](const char* name, const summary& s) {
      if (s.ratio.count > 0)
        std::printf("| %s | %d | %.2f | %.2f | %.2f | %.2f | %d |\n", name, s.ratio.count, s.volute.value(), s.peer.value(),
                    s.ratio.value(), s.worst, s.slower);
    };
    for (int p = 0; p < 3; ++p) print(pass_names[p], passes[p]);
    print("all", all);
    if (gain_.count > 0)
      std::printf("\n%d threads over 1, Volute, geometric mean of the %d rows above 1 ms: %.2f\n", options_.threads, gain_.count,
                  gain_.value());
    std::fflush(stdout);
  }

  void models() {
    std::puts(
        "\nWhole models: p50 and p99 in microseconds. A training step is forward, backward and Adam. PyTorch's adaptive_conv3d_mod is the "
        "grouped form.");
    std::puts("");
    std::puts(
        "| model | pass | roofline | Volute p50 | p99 | x roofline | PyTorch p50 | p99 | PyTorch / Volute "
        "| arena, MiB | arena / live |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (const auto& [key, m] : model_workloads())
      for (const bool trained : {false, true})
        if ((!trained || m.training != nullptr) && std::regex_search(m.name + "/" + (trained ? m.training : "forward"), options_.filter))
          model(m, trained);
  }

  void finish() {
    if (report_.empty()) throw std::runtime_error("no workload matches the filter");
    std::printf("\nfloat FMA peak at the end: %.1f GFLOP/s\n", measure_peak(options_.threads) * 1e-9);
    std::printf("waited for the machine to be whole: %.0f s\n", patience_.waited());
    if (failures > 0) std::printf("%d results differ from the peers'\n", failures);
  }

  int failures = 0;

 private:
  void convolution(const conv3d_workload& w, pass p, summary& of_pass, summary& all_passes) {
    const conv_geometry& g = w.geometry;
    const char* const pass_name = pass_names[static_cast<int>(p)];
    const auto x = random_tensor(g.x_size(), 1), filter = random_tensor(g.w_size(), 2), y = random_tensor(g.y_size(), 3);
    const floats& first = p == pass::data ? y : x;
    const floats& second = p == pass::weights ? y : filter;
    floats result((p == pass::forward ? y : p == pass::data ? x : filter).size()), expected;
    const double flops = useful_flops(g),
                 roofline = machine_.roofline(flops, 4.0 * static_cast<double>(g.x_size() + g.w_size() + g.y_size()));

    const auto check = [&](const std::string& name) {  // of what has just been computed
      const double error = largest_difference(result, expected);
      if (error <= 1e-4) return;
      std::printf("WRONG: %s, %s: %s differs by %g of the largest element\n", w.name.c_str(), pass_name, name.c_str(), error);
      ++failures;
    };
    std::vector<contestant> all(1);  // the first is Volute
    for (const onednn_library& library : libraries_) {
      std::vector<onednn_way> ways;
      library.ways(p, g, first.data(), second.data(), result.data(), ways);
      for (const onednn_way& way : ways) {
        all.push_back({library.name + ", " + way.name, turns_of(way.run)});
        way.run();
        if (expected.empty()) expected = result;
        check(all.back().name);
      }
    }
    if (expected.empty()) throw std::runtime_error("oneDNN has no " + w.name);
    const std::function<void()> volute = w.prepare(p, first.data(), second.data(), result.data());
    all[0] = {"Volute", turns_of(volute), false};
    std::fill(result.begin(), result.end(), NAN);
    volute();
    check("Volute");
    const std::size_t alone = all.size();
    if (options_.threads > 1) {  // Volute again, on one of them
      volute::executor* const all_workers = std::exchange(workers(), nullptr);
      all.push_back({"Volute, 1 thread", turns_of(w.prepare(p, first.data(), second.data(), result.data())), false});
      workers() = all_workers;
    }
    if (torch_) {
      static constexpr const char* requests[]{"forward", "data", "weights"};
      std::string numbers = w.numbers;
      std::replace(numbers.begin(), numbers.end(), ',', ' ');
      torch_->ask(std::string("conv3d ") + requests[static_cast<int>(p)] + " " + numbers);
      all.push_back(torch_->as_contestant());
    }
    race(all, options_.rounds(), options_.quick ? 5e3 : 20e3, [this] { patience_.settle(); });
    report_.add(w.name, pass_name, roofline, all, false);
    const double time = all[0].median(), peer = best_peer(all)->median();
    std::printf("| %s | %s | %s | %s | %s | %.1f | %.2f |", w.name.c_str(), pass_name, number(roofline).c_str(), number(time).c_str(),
                number(all[0].least()).c_str(), flops / time * 1e-3, time / roofline);
    for (const std::string& f : families_) std::printf(" %s |", cell(best_peer(all, f)).c_str());
    std::printf(" %.2f |\n", peer / time);
    std::fflush(stdout);
    of_pass.add(time, peer, roofline);
    all_passes.add(time, peer, roofline);
    if (options_.threads > 1 && all[alone].median() > 1000) gain_.add(all[alone].median() / time);
  }

  void model(const model_workload& m, bool trained) {
    const char* const pass_name = trained ? m.training : "forward";
    const prepared_model volute = m.prepare(trained);
    volute.run();
    const double check = volute.check(), roofline = machine_.roofline(m.flops * (trained ? 3 : 1), m.bytes);
    std::vector<contestant> all;
    all.push_back({"Volute", turns_of(volute.run), false});
    if (torch_) {
      std::string request = m.request;
      request.insert(std::min(request.find(' '), request.size()), trained ? " 1" : " 0");
      const double expected = std::stod(torch_->ask(request));
      if (!(std::abs(check - expected) <= 1e-3 * std::abs(expected))) {
        std::printf("WRONG: %s, %s: %g, PyTorch has %g\n", m.name.c_str(), pass_name, check, expected);
        ++failures;
      }
      all.push_back(torch_->as_contestant());
    }
    race(all, options_.rounds(), options_.quick ? 20e3 : 100e3, [this] { patience_.settle(); });
    report_.add(m.name, pass_name, roofline, all, true);
    const auto tail = [](contestant& c) { return c.samples.size() < 100 ? "" : number(c.quantile(0.99)); };
    std::printf("| %s | %s | %s | %s | %s | %.2f |", m.name.c_str(), pass_name, number(roofline).c_str(), cell(&all[0]).c_str(),
                tail(all[0]).c_str(), all[0].median() / roofline);
    if (torch_)
      std::printf(" %s | %s | %.2f |", cell(&all[1]).c_str(), tail(all[1]).c_str(), all[1].median() / all[0].median());
    else
      std::printf(" | | |");
    std::printf(" %.1f | %.3f |\n", volute.arena / 1048576, volute.arena / volute.live);
    std::fflush(stdout);
  }

  const options& options_;
  report report_;
  mean gain_;  // of all threads over one
  patience patience_;
  ceilings machine_;
  std::vector<onednn_library> libraries_;
  std::optional<torch_process> torch_;
  std::vector<std::string> families_;
};

}  // namespace

int main(int count, char** arguments) try {
  std::signal(SIGPIPE, SIG_IGN);
  options o;
  for (int i = 1; i < count; ++i) {
    const std::string_view a = arguments[i];
    const auto value = [&] { return ++i < count ? arguments[i] : throw std::runtime_error("no value after " + std::string(a)); };
    if (a == "--threads")
      o.threads = std::max(1, std::atoi(value()));
    else if (a == "--filter")
      o.filter = value();
    else if (a == "--quick")
      o.quick = true;
    else if (a == "--json")
      o.json = value();
    else if (a == "--onednn")
      o.onednn.push_back(value());
    else if (a == "--torch")
      o.torch = value();
    else
      throw std::runtime_error("unknown option " + std::string(a));
  }
  std::optional<volute::spinning_pool> pool;
  if (o.threads > 1) workers() = &pool.emplace(o.threads);
  benchmark b(o);
  b.convolutions();
  b.models();
  b.finish();
  return b.failures > 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
