// Parameter groups: rates and weight decay by path and shape.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <stdexcept>

using namespace volute;

namespace {

struct encoder : nn::sequential<nn::linear<3, 40>, nn::layer_norm<40>> {};
struct net {
  nn::named<"encoder", encoder> encode;
  nn::named<"head", nn::linear<40, 2>> head;
  constexpr auto operator()(expression auto x) const { return head(tanh(encode(x))); }
};
constexpr auto x = input<"x", 4, 3>;
constexpr auto t = input<"t", 4, 2>;
template <class Optimiser>
using training_with = trainer<net, nn::mse, Optimiser, x, t>;

const xt::xtensor<float, 2> batch{{1, 2, 3}, {-1, 0, 1}, {2, 1, -2}, {0.5, 1, 0}}, target{{1, 0}, {0, 1}, {1, 1}, {0, 0}};

template <class Trainer>
std::vector<float> numbers(const Trainer& trained, std::string_view path) {
  for (const auto& p : trained.parameter_table())
    if (p.path == path) return {p.data, p.data + p.shape.size()};
  throw std::out_of_range(std::string(path));
}
const std::vector<std::string_view> all{"encoder.0.weight", "encoder.0.bias", "encoder.1.weight",
                                        "encoder.1.bias",   "head.weight",    "head.bias"};

/// Where each parameter is after three steps with this optimiser for all.
template <class Optimiser>
auto after(Optimiser o, std::vector<parameter_group> groups = {}) {
  training_with<Optimiser> trained(o, {.clip_norm = 1, .groups = std::move(groups)});
  for (int i = 0; i < 3; ++i) trained.step(batch, target);
  return trained;
}

}  // namespace

TEST_CASE("patterns of paths") {
  const auto matches = [](std::string pattern, std::string_view path) { return paths(std::move(pattern))(path, {}); };
  CHECK(matches("encoder.*", "encoder.0.weight"));
  CHECK_FALSE(matches("encoder.*", "decoder.encoder.0.weight"));
  CHECK(matches("*.bias", "encoder.0.bias"));
  CHECK_FALSE(matches("*.bias", "encoder.0.bias.weight"));
  CHECK(matches("*", ""));
  CHECK(matches("a*b*c", "a.b.b.c"));
  CHECK_FALSE(matches("a*b*c", "a.c.b"));
  CHECK(matches("head.weight", "head.weight"));
  CHECK_FALSE(matches("head.weigh", "head.weight"));
  CHECK(matches("**t", "weight"));
}

TEST_CASE("a group of one step is the optimiser with other numbers") {
  // In the first step gradients are the same for all, so that each group can be compared with a training of its own.
  const auto first = [](auto o, std::vector<parameter_group> groups = {}) {
    training_with<decltype(o)> trained(o, {.groups = std::move(groups)});
    trained.step(batch, target);
    return trained;
  };
  const auto check = [&](auto plain, auto slow, auto free) {
    const auto mixed = first(plain, {{.where = paths("encoder.*"), .rate = 0.5}, {.where = biases_and_norms, .weight_decay = 0}});
    auto both = slow;
    both.weight_decay = 0;
    const auto a = first(plain), b = first(slow), c = first(free), d = first(both);
    CHECK(numbers(mixed, "head.weight") == numbers(a, "head.weight"));
    CHECK(numbers(mixed, "encoder.0.weight") == numbers(b, "encoder.0.weight"));
    CHECK(numbers(mixed, "head.bias") == numbers(c, "head.bias"));
    for (auto path : {"encoder.0.bias", "encoder.1.weight", "encoder.1.bias"}) CHECK(numbers(mixed, path) == numbers(d, path));
    CHECK_FALSE(numbers(a, "encoder.1.weight") == numbers(d, "encoder.1.weight"));
    CHECK_FALSE(numbers(a, "encoder.1.weight") == numbers(c, "encoder.1.weight"));
  };
  check(adamw{.lr = 0.1, .weight_decay = 0.5}, adamw{.lr = 0.05, .weight_decay = 0.5}, adamw{.lr = 0.1, .weight_decay = 0});
  check(sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5}, sgd{.lr = 0.05, .momentum = 0.9, .weight_decay = 0.5},
        sgd{.lr = 0.1, .momentum = 0.9});
}

TEST_CASE("groups that change nothing leave the bits, a rate of 0 freezes, the last group counts") {
  const adam o{.lr = 0.1};
  const auto plain = after(o), equal_to_it = after(o, {{.where = paths("*")}, {.where = biases_and_norms, .weight_decay = 0}});
  for (auto path : all) CHECK(numbers(plain, path) == numbers(equal_to_it, path));
  training_with<adam> begin;
  const auto frozen = after(o, {{.where = paths("*"), .rate = 0}, {.where = paths("head.*"), .rate = 2}});
  for (auto path : all) CHECK((numbers(frozen, path) == numbers(begin, path)) == path.starts_with("encoder"));
  const auto head_alone = after(o, {{.where = paths("*"), .rate = 0}, {.where = paths("head.*"), .rate = 1}});
  for (auto path : all) CHECK((numbers(head_alone, path) == numbers(begin, path)) == path.starts_with("encoder"));
}

TEST_CASE("a schedule sets the rate that groups multiply") {
  training_with<sgd> a(sgd{}, {.schedule = schedule::constant{0.2}, .groups = {{.where = paths("head.*"), .rate = 0.5}}}),
      b(sgd{.lr = 0.1}), c(sgd{.lr = 0.2});
  a.step(batch, target), b.step(batch, target), c.step(batch, target);
  CHECK(numbers(a, "head.weight") == numbers(b, "head.weight"));
  CHECK(numbers(a, "encoder.0.weight") == numbers(c, "encoder.0.weight"));
  CHECK(a.optimiser.lr == 0.2);
}

TEST_CASE("a group that chooses nothing is refused before anything happens") {
  training_with<sgd> a(sgd{}, {.groups = {{.where = paths("head.*")}, {.where = paths("haed.*")}}});
  const auto before = numbers(a, "head.weight");
  CHECK_THROWS_WITH(a.step(batch, target), "group 1 of parameters: expected a parameter that it chooses, found none");
  a.settings.groups = {{.rate = 2}};
  CHECK_THROWS_WITH(a.step(batch, target), "group 0 of parameters: expected a parameter that it chooses, found none");
  a.settings.groups = {{.where = [](std::string_view, const extents&) -> bool { throw std::runtime_error("no"); }}};
  CHECK_THROWS_WITH(a.step(batch, target), "no");
  CHECK(numbers(a, "head.weight") == before);
  CHECK(a.progress.steps == 0);
  a.settings.groups.clear();
  a.step(batch, target);
  CHECK_FALSE(numbers(a, "head.weight") == before);
}
