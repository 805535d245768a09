// Volute beside its peers, workload by workload: started by bench/run.
#include <dlfcn.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <list>
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
  std::vector<std::string> peers;
  int rounds() const { return quick ? 3 : 9; }
};

/// peer.py, between two named pipes.
class peer_process {
 public:
  explicit peer_process(const std::string& pipes) : to_(pipes + "/requests"), from_(pipes + "/answers") {
    if (!std::getline(from_, name)) throw std::runtime_error("a peer did not start");
  }
  std::string ask(const std::string& request) {
    std::string answer;
    if (!(to_ << request << std::endl) || !std::getline(from_, answer)) throw std::runtime_error(name + " ended at: " + request);
    return answer;
  }
  bool bf16() const { return name.ends_with(" bf16"); }
  contestant as_contestant() {
    return {name,
            [this](double budget, std::vector<double>& samples) {
              std::istringstream answer(ask("turn " + std::to_string(budget)));
              for (double s; answer >> s;) samples.push_back(s);
            },
            !bf16()};
  }
  std::string name;

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
  mean volute, peer, ratio, minimal;
  int slower = 0;
  double worst = HUGE_VAL;
  void add(double v, double m, double p, double roofline) {
    volute.add(v / roofline), peer.add(p / roofline), ratio.add(p / v), minimal.add(p / m);
    slower += v > 1.05 * p;
    worst = std::min(worst, p / v);
  }
};

class report {
 public:
  explicit report(const options& o) : options_(o), json_(o.json) {
    if (!json_) throw std::runtime_error("cannot write " + o.json);
  }
  ~report() { json_ << "\n]}\n"; }
  void head(const processor& p, double peak) {
    json_ << R"({"processor": {"name": ")" << p.name << R"(", "family": ")" << p.family << R"(", "model": ")" << p.model
          << R"(", "peak_gflops_per_core": )" << peak * 1e-9 << "},\n\"rows\": [";
  }
  bool empty() const { return first_; }
  void add(const std::string& workload, const std::string& pass_name, double roofline, std::vector<contestant>& all, bool tail) {
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

/// The fastest by the median: of a family, or of all that are peers.
contestant* best_peer(std::vector<contestant>& all, const std::string& of = "") {
  contestant* best = nullptr;
  for (contestant& c : all)
    if ((of.empty() ? c.peer : family(c.name) == of) && (best == nullptr || c.median() < best->median())) best = &c;
  return best;
}

floats random_tensor(int64_t size, int seed) {
  floats v(static_cast<std::size_t>(size));
  for (int64_t i = 0; i < size; ++i) v[static_cast<std::size_t>(i)] = noise(i, seed);
  return v;
}

/// As peer.py has it.
double projection(const floats& v) {
  double sum = 0;
  for (std::size_t i = 0; i < v.size(); ++i) sum += static_cast<double>(v[i]) * static_cast<double>(noise(static_cast<int64_t>(i), 1000));
  return sum;
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
std::string ratio(contestant* peer, contestant& ours) { return peer == nullptr ? "" : number(peer->median() / ours.median()); }
void cells(std::initializer_list<std::string> texts) {
  for (const std::string& t : texts) std::printf(" %s |", t.c_str());
}

class benchmark {
 public:
  explicit benchmark(const options& o) : options_(o), report_(o), patience_(o.threads, o.quick ? 120 : 600) {
    patience_.settle();
    machine_ = measure_ceilings(o.threads);
    const processor p = this_processor();
    report_.head(p, machine_.peak / o.threads);
    std::printf("| %s | family %s, model %s |\n|---|---:|\n| threads | %d |\n| float FMA peak | %.1f GFLOP/s, %.1f a core |\n",
                p.name.c_str(), p.family.c_str(), p.model.c_str(), o.threads, machine_.peak * 1e-9, machine_.peak / o.threads * 1e-9);
    std::printf("| L1 / L2 / L3 / memory read | %.0f / %.0f / %.0f / %.1f GB/s |\n\n", machine_.l1 * 1e-9, machine_.l2 * 1e-9,
                machine_.l3 * 1e-9, machine_.memory * 1e-9);
    for (const char* path : o.onednn) {
      libraries_.emplace_back(path);
      families_.push_back(libraries_.back().name);
    }
    for (const std::string& pipes : o.peers) families_.push_back(peers_.emplace_back(pipes).name);
    std::fflush(stdout);
  }

  void convolutions() {
    std::puts("Times are medians in microseconds; a peer's is that of its best way.\n");
    std::printf("| workload | pass | roofline | volute | least | GFLOP/s | x roofline | volute-minimal |");
    for (const std::string& f : families_) std::printf(" %s |", f.c_str());
    std::printf(" best peer / volute | best peer / volute-minimal |\n|---|---|---:|---:|---:|---:|---:|");
    for (std::size_t i = 0; i < families_.size() + 3; ++i) std::printf("---:|");
    std::puts("");
    summary passes[3], all;
    for (const auto& [index, w] : conv3d_workloads(false))
      for (const pass p : {pass::forward, pass::data, pass::weights})
        if (std::regex_search(w.name + "/" + pass_names[static_cast<int>(p)], options_.filter))
          convolution(w, conv3d_workloads(true).at(index), p, passes[static_cast<int>(p)], all);
    std::puts(
        "\n| geometric means | rows | volute / roofline | best peer / roofline | best peer / volute | worst row | rows slower than 1.05 "
        "best peer | best peer / volute-minimal |");
    std::puts("|---|---:|---:|---:|---:|---:|---:|---:|");
    const auto print = [](const char* name, const summary& s) {
      if (s.ratio.count > 0)
        std::printf("| %s | %d | %.2f | %.2f | %.2f | %.2f | %d | %.2f |\n", name, s.ratio.count, s.volute.value(), s.peer.value(),
                    s.ratio.value(), s.worst, s.slower, s.minimal.value());
    };
    for (int p = 0; p < 3; ++p) print(pass_names[p], passes[p]);
    print("all", all);
    if (gain_.count > 0)
      std::printf("\n%d threads over 1, volute, geometric mean of the %d rows above 1 ms: %.2f\n", options_.threads, gain_.count,
                  gain_.value());
    std::fflush(stdout);
  }

  void models() {
    std::puts(
        "\nWhole models: p50 and p99 in microseconds. A training step is forward, backward and Adam. The peers' adaptive_conv3d_mod is the "
        "grouped form.\n");
    std::printf("| model | pass | roofline | volute p50 | p99 | x roofline | volute-minimal p50 |");
    for (const peer_process& p : peers_) std::printf(" %s p50 |", p.name.c_str());
    std::printf(" best peer / volute | best peer / volute-minimal | arena, MiB | arena / live |\n|---|---|---:|---:|---:|---:|---:|");
    for (std::size_t i = 0; i < peers_.size() + 4; ++i) std::printf("---:|");
    std::puts("");
    for (const auto& [key, m] : model_workloads(false))
      for (const bool trained : {false, true})
        if ((!trained || m.training != nullptr) && std::regex_search(m.name + "/" + (trained ? m.training : "forward"), options_.filter))
          model(m, model_workloads(true).at(key), trained);
  }

  void finish() {
    if (report_.empty()) throw std::runtime_error("no workload matches the filter");
    std::printf("\nfloat FMA peak at the end: %.1f GFLOP/s\n", measure_peak(options_.threads) * 1e-9);
    std::printf("waited for the machine to be whole: %.0f s\n", patience_.waited());
    if (failures > 0) std::printf("%d results differ from the peers'\n", failures);
  }

  int failures = 0;

 private:
  /// Prepares `request` with each peer that has it, compares its results' projection with ours, and adds it.
  void add_peers(std::vector<contestant>& all, const std::string& row, const std::string& request, std::initializer_list<double> ours) {
    for (peer_process& p : peers_) {
      double theirs = NAN, scale = NAN;
      const std::string answer = p.ask(request);
      if (answer == "-") continue;
      std::sscanf(answer.c_str(), "%lf %lf", &theirs, &scale);
      for (const double v : ours)
        if (!(std::abs(v - theirs) <= (p.bf16() ? 0.1 : 1e-3) * scale)) {
          std::printf("WRONG: %s: %g, %s has %g\n", row.c_str(), v, p.name.c_str(), theirs);
          ++failures;
        }
      all.push_back(p.as_contestant());
    }
  }

  void convolution(const conv3d_workload& w, const conv3d_workload& minimal, pass p, summary& of_pass, summary& all_passes) {
    const conv_geometry& g = w.geometry;
    const std::string pass_name = pass_names[static_cast<int>(p)], row = w.name + ", " + pass_name;
    const auto x = random_tensor(g.x_size(), 1), filter = random_tensor(g.w_size(), 2), y = random_tensor(g.y_size(), 3);
    const floats& first = p == pass::data ? y : x;
    const floats& second = p == pass::weights ? y : filter;
    floats result((p == pass::forward ? y : p == pass::data ? x : filter).size()), expected;

    const auto check = [&](const std::string& name) {  // of what has just been computed
      const double error = largest_difference(result, expected);
      if (error <= 1e-4) return;
      std::printf("WRONG: %s: %s differs by %g of the largest element\n", row.c_str(), name.c_str(), error);
      ++failures;
    };
    std::vector<contestant> all(2);  // the first two are ours
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
    for (const bool m : {false, true}) {
      const std::function<void()> run = (m ? minimal : w).prepare(p, first.data(), second.data(), result.data());
      all[m] = {m ? "volute-minimal" : "volute", turns_of(run), false};
      std::fill(result.begin(), result.end(), NAN);
      run();
      check(all[m].name);
    }
    const std::size_t alone = all.size();
    if (options_.threads > 1) {  // Volute again, on one of them
      volute::executor* const all_workers = std::exchange(workers(), nullptr);
      all.push_back({"volute, 1 thread", turns_of(w.prepare(p, first.data(), second.data(), result.data())), false});
      workers() = all_workers;
    }
    static constexpr const char* requests[]{"forward ", "data ", "weights "};
    std::string numbers = w.numbers;
    std::replace(numbers.begin(), numbers.end(), ',', ' ');
    add_peers(all, row, std::string("conv3d ") + requests[static_cast<int>(p)] + numbers, {projection(expected)});
    race(all, options_.rounds(), options_.quick ? 5e3 : 20e3, [this] { patience_.settle(); });
    const double time = print(w, pass_name, all, of_pass, all_passes);
    if (options_.threads > 1 && all[alone].median() > 1000) gain_.add(all[alone].median() / time);
  }

  /// A row of the table and of the JSON file; Volute's time.
  double print(const conv3d_workload& w, const std::string& pass_name, std::vector<contestant>& all, summary& of_pass,
               summary& all_passes) {
    const conv_geometry& g = w.geometry;
    const double flops = useful_flops(g),
                 roofline = machine_.roofline(flops, 4.0 * static_cast<double>(g.x_size() + g.w_size() + g.y_size()));
    contestant* const best = best_peer(all);
    const double time = all[0].median(), minimal = all[1].median();
    report_.add(w.name, pass_name, roofline, all, false);
    std::printf("| %s | %s | %s | %s | %s | %.1f | %.2f | %s |", w.name.c_str(), pass_name.c_str(), number(roofline).c_str(),
                number(time).c_str(), number(all[0].least()).c_str(), flops / time * 1e-3, time / roofline, number(minimal).c_str());
    for (const std::string& f : families_) cells({cell(best_peer(all, f))});
    cells({ratio(best, all[0]), ratio(best, all[1])});
    std::puts("");
    std::fflush(stdout);
    of_pass.add(time, minimal, best->median(), roofline);
    all_passes.add(time, minimal, best->median(), roofline);
    return time;
  }

  void model(const model_workload& m, const model_workload& minimal, bool trained) {
    const std::string pass_name = trained ? m.training : "forward";
    const prepared_model ours[]{m.prepare(trained), minimal.prepare(trained)};
    std::vector<contestant> all;
    for (const prepared_model& p : ours) {
      p.run();
      all.push_back({all.empty() ? "volute" : "volute-minimal", turns_of(p.run), false});
    }
    std::string request = m.request;
    request.insert(std::min(request.find(' '), request.size()), trained ? " 1" : " 0");
    add_peers(all, m.name + ", " + pass_name, request, {ours[0].check(), ours[1].check()});
    race(all, options_.rounds(), options_.quick ? 20e3 : 100e3, [this] { patience_.settle(); });
    const double roofline = machine_.roofline(m.flops * (trained ? 3 : 1), m.bytes);
    report_.add(m.name, pass_name, roofline, all, true);
    contestant* const best = best_peer(all);
    std::printf("|");
    cells({m.name, pass_name, number(roofline), cell(&all[0]), all[0].samples.size() < 100 ? "" : number(all[0].quantile(0.99)),
           number(all[0].median() / roofline), cell(&all[1])});
    for (const peer_process& p : peers_) cells({cell(best_peer(all, p.name))});
    cells({ratio(best, all[0]), ratio(best, all[1])});
    std::printf(" %.1f | %.3f |\n", ours[0].arena / 1048576, ours[0].arena / ours[0].live);
    std::fflush(stdout);
  }

  const options& options_;
  report report_;
  mean gain_;  // of all threads over one
  patience patience_;
  ceilings machine_;
  std::vector<onednn_library> libraries_;
  std::list<peer_process> peers_;
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
    else if (a == "--peer")
      o.peers.push_back(value());
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
