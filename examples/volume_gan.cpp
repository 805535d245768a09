// A small StyleGAN of volumes learns to make patches of a head MRI: a style-based generator against a critic with the R1 penalty, whose
// training differentiates twice through 3D convolutions. It is trained on the left half of the head and judged by how far the statistics
// of its samples are from those of the right half, seen in a mirror, of which it knew nothing.
//   volume_gan [folder for the samples and the loss curves]
#include <volute/volute.hpp>

#include <support/curves.hpp>
#include <support/nifti.hpp>
#include <support/progress.hpp>

#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnorm.hpp>
#include <xtensor/xrandom.hpp>
#include <xtensor/xview.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace example {

using namespace volute;
using volume = xt::xtensor<float, 3>;
using volumes = xt::xtensor<float, 5>;  // (number, 1, patch, patch, patch)

constexpr int steps = 850;
constexpr std::size_t batch = 16, patch = 16, latent = 32, style = 64;

// ---- the networks -----------------------------------------------------------------------------------------------------

template <int In, int Out>
struct styled {
  nn::named<"affine", nn::style_affine<style, In, nn::bias_init<0>>> affine;
  nn::named<"conv", nn::adaptive_conv3d_mod<In, nn::dim_out<Out>>> conv;
  nn::named<"noise", nn::noise_injection<Out>> noise;
  constexpr auto operator()(expression auto x, expression auto w) const {
    return leaky_relu<.2>(noise(conv(x, affine(w))) + per_channel(parameter<"bias", Out>));
  }
};

struct generator {
  nn::named<"mapping", nn::mapping_network<latent, style, 4, .1>> mapping;
  nn::named<"start", nn::equalized_linear<style, 64 * 4 * 4 * 4>> start;
  nn::named<"4", styled<64, 32>> at4;
  nn::named<"8a", styled<32, 32>> at8a;
  nn::named<"8b", styled<32, 16>> at8b;
  nn::named<"16", styled<16, 8>> at16;
  nn::named<"image", nn::equalized_conv3d<8, 1, nn::kernel<3>, nn::same>> image;

  constexpr auto operator()(expression auto z) const {
    constexpr auto n = decltype(z)::shape()[0];
    constexpr nn::upsample<nn::scale<2>, nn::trilinear> larger{};
    const auto w = mapping(z);
    const auto x4 = at4(reshape(start(w), shape<n, 64, 4, 4, 4>), w);
    const auto x8 = at8b(at8a(larger(x4), w), w);
    return image(at16(larger(x8), w));
  }
};

template <int In, int Out>
using halve = nn::conv3d<In, Out, nn::kernel<4>, nn::stride<2>, nn::padding<1>>;
using rectify = nn::leaky_relu<.2>;
struct critic : nn::sequential<halve<1, 16>, rectify, nn::conv3d<16, 32, nn::kernel<3>, nn::same>, rectify, halve<32, 64>, rectify,
                               nn::flatten, nn::linear<64 * 4 * 4 * 4, 64>, rectify, nn::linear<64, 1>> {};

// ---- their games ------------------------------------------------------------------------------------------------------

constexpr nn::named<"generator", generator> generate{};
constexpr nn::shared<"critic", critic> judge{};

constexpr auto made = generate(normal_noise<"z", batch, latent>);
constexpr auto real = input<"real", batch, 1, patch, patch, patch>;
constexpr auto fake = input<"fake", batch, 1, patch, patch, patch>;
constexpr auto generator_loss = mean(softplus(-judge(made)));
constexpr auto critic_loss = mean(softplus(judge(fake))) + mean(softplus(-judge(real)));

// The penalty is in every 16th step alone, with 16 times its weight (lazy regularisation, arXiv 1912.04958, appendix B).
constexpr int lazy = 16;
constexpr double gamma = .3;
constexpr auto penalty = r1_penalty(judge(real), real);
constexpr auto penalised_loss = critic_loss + constant<lazy * gamma / 2> * penalty;

using generator_trainer = trainer_of<outputs(generator_loss, made), adam, "generator">;
using critic_trainer = trainer_of<outputs(critic_loss), adam>;
using penalised_trainer = trainer_of<outputs(penalised_loss, critic_loss, penalty), adam>;

/// `to` goes on where `from` stands: one critic with one optimiser, which two programs train in turn.
template <class From, class To>
void hand_over(From& from, To& to) {
  copy_parameters(from, to);
  const auto given = from.state_blocks(), taken = to.state_blocks();
  for (std::size_t k = 0; k < given.size(); ++k) std::copy(given[k].values.begin(), given[k].values.end(), taken[k].values.begin());
  to.progress = from.progress;
}

// ---- real patches -----------------------------------------------------------------------------------------------------

constexpr float middle = .35f, spread = .1f, bright = .6f;  // grey and white matter, where 1 is the brightest voxel of the head

/// Half a head, x growing towards the middle, which no patch crosses. Each voxel is the mean of 2x2x2 that begin there, each patch takes
/// every second one.
class half {
 public:
  explicit half(const volume& head) : voxels_(xt::view(head, xt::all(), xt::all(), xt::range(0, head.shape(2) / 2))) {
    for (int axis = 0; axis < 3; ++axis) voxels_ = (voxels_ + xt::roll(voxels_, -1, axis)) / 2.f;
    for (std::size_t z = 0; z + reach < voxels_.shape(0); z += 2)
      for (std::size_t y = 0; y + reach < voxels_.shape(1); y += 2)
        for (std::size_t x = 0; x + reach < voxels_.shape(2); x += 2)
          if (const volume v = at({z, y, x}); xt::mean(v)() > dark && xt::amax(v)() < bright) places_.push_back({z, y, x});
    voxels_ = (voxels_ - middle) / spread;
  }

  /// Patches from anywhere in the brain.
  volumes operator()(std::size_t n, std::mt19937& random) const {
    volumes result({n, 1, patch, patch, patch});
    std::uniform_int_distribution<std::size_t> any(0, places_.size() - 1);
    for (std::size_t i = 0; i < n; ++i) xt::view(result, i, 0) = at(places_[any(random)]);
    return result;
  }
  std::size_t places() const { return places_.size(); }

 private:
  static constexpr std::size_t reach = 2 * patch;
  static constexpr float dark = .3f;  // the mean of a patch is above it, each voxel below `bright`: no air around, no fat
  using place = std::array<std::size_t, 3>;

  auto at(const place& p) const -> volume {
    const auto every_second = [&](std::size_t axis) { return xt::range(p[axis], p[axis] + reach, 2); };
    return xt::view(voxels_, every_second(0), every_second(1), every_second(2));
  }

  volume voxels_;
  std::vector<place> places_;
};

// ---- the judgement ----------------------------------------------------------------------------------------------------

constexpr std::size_t judged = 1024;

/// The earth mover's distance of two distributions of one number, given by equally many values.
double distance(std::vector<double> a, std::vector<double> b) {
  std::sort(a.begin(), a.end()), std::sort(b.begin(), b.end());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

/// What is compared: three numbers of each patch, and the sliced Wasserstein distance of small cubes (arXiv 1710.10196, section 5).
struct likeness {
  double mean, deviation, gradient, cubes;
};

likeness compare(const volumes& a, const volumes& b) {
  const auto distance_of = [&](auto number) {
    std::array<std::vector<double>, 2> values;
    for (std::size_t i = 0; i < judged; ++i)
      values[0].push_back(number(xt::view(a, i, 0))), values[1].push_back(number(xt::view(b, i, 0)));
    return distance(values[0], values[1]);
  };
  const auto gradient = [](const auto& v) {
    double energy = 0;
    for (unsigned axis = 0; axis < 3; ++axis) energy += xt::mean(xt::square(xt::diff(volume(v), 1, axis)))();
    return std::sqrt(energy);
  };
  constexpr std::size_t cube = 5, directions = 64;
  xt::random::seed(1);
  double cubes = 0;
  for (std::size_t d = 0; d < directions; ++d) {
    volume along = xt::random::randn<float>({cube, cube, cube});
    along /= xt::norm_l2(along)();
    const auto corner = xt::eval(xt::random::randint<std::size_t>({std::size_t(3)}, 0, patch - cube + 1));
    const auto inside = [&](std::size_t axis) { return xt::range(corner(axis), corner(axis) + cube); };
    cubes += distance_of([&](const auto& v) { return xt::sum(xt::view(v, inside(0), inside(1), inside(2)) * along)(); }) / directions;
  }
  return {distance_of([](const auto& v) { return xt::mean(v)(); }), distance_of([](const auto& v) { return xt::stddev(v)(); }),
          distance_of(gradient), cubes};
}

/// Patches in rows and columns, the slice in the middle of each.
panel sheet(const char* caption, const volumes& v) {
  constexpr std::size_t rows = 8, columns = 10, pitch = patch + 1;
  panel p{caption, xt::zeros<float>({rows * pitch, columns * pitch})};
  for (std::size_t i = 0; i < rows * columns; ++i) {
    const std::size_t y = i / columns * pitch, x = i % columns * pitch;
    xt::view(p.slice, xt::range(y, y + patch), xt::range(x, x + patch)) = (xt::view(v, i, 0, patch / 2) * spread + middle) / bright;
  }
  return p;
}

/// The generator alone.
class sampler {
 public:
  template <class From>
  volumes operator()(From&& weights) {
    copy_parameters(weights, program_);
    program_.seed(7);
    volumes result({judged, 1, patch, patch, patch});
    for (std::size_t i = 0; i < judged; i += 64) {
      auto [some] = program_();
      xt::view(result, xt::range(i, i + 64)) = some;
    }
    return result;
  }

 private:
  program<outputs(generate(normal_noise<"z", 64, latent>))> program_;
};

int run(const char* folder) {
  volume head = read_nifti(head_mri());
  head /= xt::amax(head)();
  const half left(head), right(xt::flip(head, 2));
  std::mt19937 random(1);
  const volumes seen = left(judged, random), unseen = right(judged, random);
  std::printf("%zu places on the left, %zu on the right\n", left.places(), right.places());

  spinning_pool pool;
  const adam as{.lr = 1e-3, .beta1 = 0, .beta2 = .99};
  generator_trainer g(adam{.lr = 2e-3, .beta1 = 0, .beta2 = .99}, {.ema_decay = .995});
  critic_trainer c(as);
  penalised_trainer penalised(as);
  g.initialize(1), c.initialize(2);
  g.use(pool), c.use(pool), penalised.use(pool);
  sampler sample;
  const volumes untrained = sample(g);

  std::vector<double> generator_losses, critic_losses, penalties;
  progress show(steps);
  for (int i = 1; i <= steps; ++i) {
    copy_parameters(c, g, "critic");
    generator_losses.push_back(static_cast<double>(g.step()));
    const auto images = g.output<1>();
    const volumes patches = left(batch, random);
    if (i % lazy == 0) {
      hand_over(c, penalised);
      penalised.step(fake = images, real = patches);
      critic_losses.push_back(static_cast<double>(penalised.output<1>()));
      penalties.push_back(static_cast<double>(penalised.output<2>()));
      hand_over(penalised, c);
    } else {
      critic_losses.push_back(static_cast<double>(c.step(fake = images, real = patches)));
    }
    show(i, critic_losses.back(), generator_losses.back());
  }
  const volumes samples = sample(g.ema());

  if (folder) {
    const std::string path = std::string(folder) + "/volume_gan";
    write_png(path + "_samples.png", {sheet("left half", seen), sheet("right half of the head", unseen), sheet("samples", samples)}, 3);
    write_png(path + "_loss.png", {loss_panel({{"critic", critic_losses}, {"generator", generator_losses}, {"penalty", penalties}})}, 1);
    std::printf("%s_samples.png, %s_loss.png\n", path.c_str(), path.c_str());
  }
  std::puts("\nDistance to patches of the right half, unseen in training\n                     mean    deviation  gradient  cubes");
  const auto row = [&](const char* name, const volumes& v) {
    const likeness l = compare(v, unseen);
    std::printf("  %-17s %.4f   %.4f     %.4f    %.4f\n", name, l.mean, l.deviation, l.gradient, l.cubes);
    return l;
  };
  const likeness before = row("untrained", untrained), after = row("trained", samples), best = row("the left half", seen);
  if (after.cubes < .5 * before.cubes && after.cubes < 5 * best.cubes) return 0;
  std::fprintf(stderr, "The samples should be far nearer to the head than those of the untrained generator.\n");
  return 1;
}

}  // namespace example

int main(int count, char** arguments) {
  try {
    return example::run(count > 1 ? arguments[1] : nullptr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
