// What may differ between a file and a program: each switch by itself, names that change on the way, and what is reported.
#include <volute/io/safetensors.hpp>

#include <unit/io_support.hpp>

#include <map>

using namespace volute;

namespace {

/// A program as load sees it, with float parameters of any names.
class program_of {
 public:
  struct entry {
    std::string_view path;
    extents shape;
    float* data;
  };
  explicit program_of(std::map<std::string, extents> parameters) : shapes_(std::move(parameters)) {
    for (const auto& [path, shape] : shapes_) values_[path].assign(static_cast<std::size_t>(shape.size()), -1.0f);
  }
  std::vector<entry> parameter_table() {
    std::vector<entry> all;
    for (auto& [path, values] : values_) all.push_back({path, shapes_.at(path), values.data()});
    return all;
  }
  void parameters_changed() { ++changes; }
  const std::vector<float>& at(const std::string& path) const { return values_.at(path); }
  bool untouched() const {
    for (const auto& [path, values] : values_)
      for (const float v : values)
        if (v != -1.0f) return false;
    return changes == 0;
  }
  int changes = 0;

 private:
  std::map<std::string, extents> shapes_;
  std::map<std::string, std::vector<float>> values_;
};

using list = std::vector<std::string>;

/// A file in memory of float tensors that count up.
std::vector<std::byte> file_of(const std::vector<std::pair<std::string, std::vector<std::uint64_t>>>& tensors) {
  static const std::vector<float> ramp = [] {
    std::vector<float> r;
    for (int i = 0; i < 1000; ++i) r.push_back(static_cast<float>(i));
    return r;
  }();
  std::vector<io::memory_tensor<const std::byte>> all;
  for (const auto& [name, shape] : tensors) {
    std::size_t n = 1;
    for (const auto d : shape) n *= d;
    all.push_back(io::tensor_of(name, shape, std::span(ramp).first(n)));
  }
  std::vector<std::byte> bytes;
  io::write_safetensors<const std::byte>(bytes, all);
  return bytes;
}

program_of classifier() {
  return program_of({{"body.weight", make_extents(2, 3)}, {"head.weight", make_extents(5, 2)}, {"head.bias", make_extents(5)}});
}
bool of_head(std::string_view name) { return name.starts_with("head."); }

std::string message(program_of& p, const std::vector<std::byte>& file, const load_options& options) {
  const auto r = try_load(p, file, options);
  CHECK(!r.ok());
  CHECK(r.kind() == error_kind::shape);
  CHECK(p.untouched());
  return r.message();
}

}  // namespace

TEST_CASE("missing and unused are two switches, each for all names or for some", "[io]") {
  const auto more = file_of({{"body.weight", {2, 3}}, {"head.weight", {5, 2}}, {"head.bias", {5}}, {"relative_position_index", {4}}});
  const auto less = file_of({{"body.weight", {2, 3}}});
  const auto both = file_of({{"body.weight", {2, 3}}, {"relative_position_index", {4}}});
  {
    auto p = classifier();
    CHECK(message(p, more, {.allow_missing = true}) ==
          "memory: tensor 'relative_position_index': expected no such tensor, found (4) in F32");
    CHECK(message(p, more, {.allow_unused = of_head}).find("no such tensor") != std::string::npos);
    const load_report r = load(p, more, {.allow_unused = true});
    CHECK(r.unused == list{"relative_position_index"});
    CHECK(r.loaded == list{"body.weight", "head.bias", "head.weight"});
    CHECK((r.missing.empty() && r.skipped.empty() && p.changes == 1));
  }
  {
    auto p = classifier();
    const load_report r = load(p, more, {.ignore = [](std::string_view n) { return n == "relative_position_index"; }});
    CHECK(r.unused.empty());
    CHECK(p.at("head.bias") == std::vector<float>{0, 1, 2, 3, 4});
  }
  {
    auto p = classifier();
    CHECK(message(p, less, {.allow_unused = true}).find("2 tensors do not fit") != std::string::npos);
    CHECK(message(p, less, {.allow_missing = [](std::string_view n) { return n == "head.bias"; }}) ==
          "memory: tensor 'head.weight': expected (5,2) in F32, found none; nearest is 'body.weight'");
    CHECK(message(p, both, {.allow_missing = of_head}).find("relative_position_index") != std::string::npos);
    const load_report r = load(p, both, {.allow_missing = of_head, .allow_unused = true});
    CHECK(r.missing == list{"head.bias", "head.weight"});
    CHECK(r.unused == list{"relative_position_index"});
    CHECK(r.loaded == list{"body.weight"});
    CHECK(p.at("body.weight") == std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK(p.at("head.bias") == std::vector<float>(5, -1.0f));
  }
}

TEST_CASE("a head of another size keeps its values", "[io]") {
  const auto file = file_of({{"body.weight", {2, 3}}, {"head.weight", {7, 2}}, {"head.bias", {7}}});
  auto p = classifier();
  CHECK(message(p, file, {}).find("2 tensors do not fit:\n  tensor 'head.bias': expected (5) in F32, found (7) in F32") !=
        std::string::npos);
  CHECK(message(p, file, {.allow_missing = true, .allow_unused = true}).find("2 tensors do not fit") != std::string::npos);
  CHECK(message(p, file, {.allow_other_shape = [](std::string_view n) { return n == "head.bias"; }}) ==
        "memory: tensor 'head.weight': expected (5,2) in F32, found (7,2) in F32");
  const load_report r = load(p, file, {.allow_other_shape = of_head});
  CHECK(r.skipped == list{"head.bias", "head.weight"});
  CHECK((r.loaded == list{"body.weight"} && r.missing.empty() && r.unused.empty()));
  CHECK(p.at("head.weight") == std::vector<float>(10, -1.0f));
  CHECK(p.at("body.weight")[5] == 5);
  // What has the wanted shape is loaded all the same; and not to take a head at all is to ignore it.
  auto q = classifier();
  CHECK(load(q, file_of({{"body.weight", {2, 3}}, {"head.weight", {5, 2}}, {"head.bias", {7}}}), {.allow_other_shape = true}).loaded ==
        list{"body.weight", "head.weight"});
  auto none = classifier();
  const load_report i = load(none, file, {.allow_missing = of_head, .ignore = of_head});
  CHECK((i.missing == list{"head.bias", "head.weight"} && i.unused.empty() && i.skipped.empty()));
}

TEST_CASE("a message offers the names that are there, the nearest first, and stays short", "[io]") {
  program_of p({{"encoder.0.conv.weight", make_extents(2)}});
  CHECK(message(p, file_of({{"encoder.1.conv.weight", {2}}, {"x", {2}}, {"encoder.0.conv.bias", {2}}, {"encoder.0.conv.wieght", {2}}}),
                {.allow_unused = true}) ==
        "memory: tensor 'encoder.0.conv.weight': expected (2) in F32, found none; nearest are 'encoder.1.conv.weight', "
        "'encoder.0.conv.wieght' and 'encoder.0.conv.bias'");
  CHECK(message(p, file_of({{"module.encoder.0.conv.weight", {2}}, {"module.encoder.0.norm.weight", {2}}}), {.allow_unused = true}) ==
        "memory: tensor 'encoder.0.conv.weight': expected (2) in F32, found none; nearest are 'module.encoder.0.conv.weight' and "
        "'module.encoder.0.norm.weight'");
  CHECK(message(p, file_of({{"encoder.0.conv.weight", {2}}}), {.allow_unused = true, .prefix = "net."}) ==
        "memory: tensor 'net.encoder.0.conv.weight': expected (2) in F32, found none; nearest is 'encoder.0.conv.weight'");
  CHECK(message(p, file_of({}), {}) == "memory: tensor 'encoder.0.conv.weight': expected (2) in F32, found none");
  CHECK(message(p, file_of({{"a", {2}}}), {.allow_unused = true, .rename = [](std::string_view) { return std::string("b"); }}) ==
        "memory: tensor 'b' of parameter 'encoder.0.conv.weight': expected (2) in F32, found none; nearest is 'a'");
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> many;
  for (int i = 0; i < 500; ++i) many.push_back({std::string(3000, 'n') + "\n" + std::to_string(i), {1}});
  const std::string what = message(p, file_of(many), {});
  CHECK(what.size() < 3000);
  CHECK(what.ends_with("and 491 more"));
}

TEST_CASE("nothing has changed after an error, whatever it is", "[io]") {
  program_of p({{"a", make_extents(2)}, {"b", make_extents(2)}});
  const std::vector<float> fine{1, 2};
  const std::vector<double> large{1, 1e39}, infinite{1, HUGE_VAL};
  const auto file = [&](const std::vector<double>& b) {
    const std::vector all{io::tensor_of("a", {2}, std::span(fine)), io::tensor_of("b", {2}, std::span(b))};
    std::vector<std::byte> bytes;
    io::write_safetensors<const std::byte>(bytes, all);
    return bytes;
  };
  CHECK(message(p, file(large), {}) == "memory: tensor 'b': expected (2) in F32, found 1e+39 at (1) in F64");
  int calls = 0;
  const auto bad_rename = [&](std::string_view n) {
    if (++calls == 2) throw std::runtime_error("of the caller");
    return std::string(n);
  };
  CHECK_THROWS_AS(load(p, file(infinite), {.rename = bad_rename}), std::runtime_error);
  CHECK(p.untouched());
  load(p, file(infinite));
  CHECK((p.at("a") == fine && std::isinf(p.at("b")[1]) && p.changes == 1));
}

TEST_CASE("one tensor under several names: cloned, or one name kept", "[io]") {
  const auto network = [] {
    return program_of({{"encoder.stages.0.convs.0.conv.weight", make_extents(2, 1, 1, 1, 1)},
                       {"encoder.stages.0.convs.0.conv.bias", make_extents(2)},
                       {"encoder.stages.0.convs.0.norm.weight", make_extents(2)},
                       {"encoder.stages.0.convs.0.norm.bias", make_extents(2)},
                       {"encoder.stages.1.convs.0.conv.weight", make_extents(2, 2, 1, 1, 1)},
                       {"encoder.stages.1.convs.0.conv.bias", make_extents(2)},
                       {"encoder.stages.1.convs.0.norm.weight", make_extents(2)},
                       {"encoder.stages.1.convs.0.norm.bias", make_extents(2)},
                       {"decoder.seg_layers.0.weight", make_extents(3, 2, 1, 1, 1)},
                       {"decoder.seg_layers.0.bias", make_extents(3)}});
  };
  const auto check = [](const program_of& p) {
    CHECK(p.at("encoder.stages.0.convs.0.conv.weight") == std::vector<float>{0, 1});
    CHECK(p.at("encoder.stages.1.convs.0.conv.weight") == std::vector<float>{400, 401, 402, 403});
    CHECK(p.at("encoder.stages.1.convs.0.norm.bias") == std::vector<float>{700, 701});
    CHECK(p.at("decoder.seg_layers.0.bias") == std::vector<float>{900, 901, 902});
  };
  {
    auto p = network();
    const std::string clones = data_file("shared_clones.safetensors");
    CHECK(safetensors_file(clones).tensors().size() == 34);
    CHECK(!try_load(p, clones));
    const auto other_names = [](std::string_view name) {
      return name.starts_with("decoder.encoder.") || name.find(".all_modules.") != name.npos;
    };
    const load_report r = load(p, clones, {.ignore = other_names});
    CHECK((r.loaded.size() == 10 && r.unused.empty()));
    check(p);
  }
  {
    auto p = network();
    const safetensors_file file(data_file("shared_model.safetensors"));
    CHECK(file.tensors().size() == 10);
    CHECK(!try_load(p, file.path()));
    const auto kept = [&](std::string_view path) {
      const auto stands_for = file.metadata().find(std::string(path));
      return stands_for == file.metadata().end() ? std::string(path) : stands_for->second;
    };
    const load_report r = load(p, file.path(), {.rename = kept});
    CHECK((r.loaded.size() == 10 && r.unused.empty()));
    check(p);
  }
  // And one tensor for two parameters: a tied weight that the program has twice.
  program_of tied({{"embedding", make_extents(2)}, {"output", make_extents(2)}});
  load(tied, file_of({{"embedding", {2}}}), {.rename = [](std::string_view) { return std::string("embedding"); }});
  CHECK((tied.at("output") == std::vector<float>{0, 1} && tied.at("embedding") == tied.at("output")));
}
