#!/usr/bin/env bash
# What a model costs to compile, as the tables of docs/compile_cost.md: user seconds (the least of REPEAT runs, default 2) and peak memory.
#   bash bench/compile_cost.sh [compiler...]      default: g++ clang++-19
# Needs GNU time (Debian: time).
set -euo pipefail
cd "$(dirname "$0")/.."
repeat=${REPEAT:-2}
compilers=("$@")
((${#compilers[@]})) || compilers=(g++ clang++-19)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cost COMPILER FLAGS... -- NAME: prints "seconds MB", leaves the program in $work/NAME.
cost() {
  local compiler=$1 flags=() least= memory= seconds kilobytes
  shift
  while [[ $1 != -- ]]; do flags+=("$1"); shift; done
  local name=$2
  if "$compiler" --version | grep -q clang; then
    flags+=(-fconstexpr-steps=100000000)
  else
    flags+=(-fconstexpr-ops-limit=1000000000 -fconstexpr-loop-limit=10000000)
  fi
  for ((i = 0; i < repeat; ++i)); do
    "$(type -P time)" -f '%U %M' -o "$work/time" "$compiler" -std=c++20 -O2 -march=native -Iinclude "${flags[@]}" "$work/$name.cpp" -o "$work/$name"
    read -r seconds kilobytes <"$work/time"
    [[ -z $least ]] || awk "BEGIN { exit !($seconds < $least) }" && least=$seconds memory=$((kilobytes / 1000))
  done
  echo "$least $memory"
}

# program NAME DEFINITIONS INPUT LOSS: a program that computes a loss and the gradient of every parameter.
program() {
  cat >"$work/$1.cpp" <<EOF
#include <volute/volute.hpp>
#include <cstdio>
using namespace volute;
namespace nn = volute::nn;
$2
int main() {
  constexpr auto x = $3;
  constexpr auto t = input<"t", 4>;
  constexpr auto loss = $4;
  program<outputs(loss, gradient(loss, parameters))> step;
  const float* inputs[] = {step.input_data(0), step.input_data(1)};
  float* results[decltype(step)::facts::graph.size.outputs];
  for (int i = 0; i < decltype(step)::facts::graph.size.outputs; ++i) results[i] = step.output_data(i);
  step.run(inputs, results);
  std::printf("%g\n", static_cast<double>(*results[0]));
}
EOF
}

# chain NAME BLOCKS: two convolutions and a skip connection, so many times.
chain() {
  local blocks
  blocks=$(printf ', block%.0s' $(seq "$2"))
  program "$1" 'struct block {
  nn::named<"conv1", nn::conv3d<8, 8, nn::kernel<3>, nn::padding<1>>> conv1;
  nn::named<"conv2", nn::conv3d<8, 8, nn::kernel<3>, nn::padding<1>>> conv2;
  constexpr auto operator()(expression auto x) const { return x + conv2(relu(conv1(x))); }
};
struct net : nn::sequential<'"${blocks:2}"'> {};' 'input<"x", 1, 8, 8, 8, 8>' 'mean(square(net{}(x)))'
}

echo '#include <volute/volute.hpp>
int main() {}' >"$work/headers.cpp"
program document 'struct net : nn::sequential<
    nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
    nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>> {};' 'input<"x", 4, 1, 10, 10, 10>' 'cross_entropy(net{}(x), t)'
for n in 16 32 64 65; do chain "chain$n" "$n"; done
{ cat bench/compare/model_r3d18.cpp; echo 'int main() {}'; } >"$work/r3d18.cpp"
program dense "$(cat <<'EOF'
template <int In>
struct dense_layer {
  nn::named<"norm", nn::batch_norm3d<In>> norm;
  nn::named<"conv", nn::conv3d<In, 12, nn::kernel<3>, nn::padding<1>>> conv;
  constexpr auto operator()(expression auto x) const { return concat(axis<1>, x, conv(relu(norm(x)))); }
};
template <int In, int... I> auto layers(std::integer_sequence<int, I...>) -> nn::sequential<dense_layer<In + 12 * I>...>;
template <int In> struct dense_block : decltype(layers<In>(std::make_integer_sequence<int, 32>{})) {};
template <int In> struct transition : nn::sequential<nn::batch_norm3d<In>, nn::relu, nn::conv3d<In, In / 2, nn::kernel<1>>, nn::avg_pool3d<2>> {};
constexpr int a = 24 + 12 * 32, b = a / 2 + 12 * 32, c = b / 2 + 12 * 32;
struct net : nn::sequential<nn::conv3d<1, 24, nn::kernel<3>, nn::padding<1>>, dense_block<24>, transition<a>, dense_block<a / 2>, transition<b>,
                            dense_block<b / 2>, nn::batch_norm3d<c>, nn::relu, nn::adaptive_avg_pool3d<1>, nn::flatten, nn::linear<c, 10>> {};
EOF
)" 'input<"x", 4, 1, 16, 16, 16>' 'cross_entropy(net{}(x), t)'
sed -i '/"t", 4/d; s/, step.input_data(1)//' "$work"/chain*.cpp

row() { printf '| %s | %s | %s |\n' "$@"; }
for compiler in "${compilers[@]}"; do
  printf '\n%s\n\n' "$("$compiler" --version | head -1), -O2 -march=native"
  row program 'user s' 'peak MB'
  row --- --: --:
  row 'the headers alone' $(cost "$compiler" -- headers)
  row "the Conv3D document's model, loss and gradient" $(cost "$compiler" -- document)
  for n in 16 32 64 65; do
    read -r seconds memory <<<"$(cost "$compiler" -- "chain$n")"
    row "$n residual blocks" "$seconds" "$memory"
    ((n == 16)) && first=$seconds
    ((n == 64)) && last=$seconds
  done
  row 'a DenseNet of 100 layers' $(cost "$compiler" -- dense)
  row "R3D-18's training step and forward pass, -O3" $(cost "$compiler" -O3 -Ibench/compare -- r3d18)
  row 'each further block (64 less 16, by 48)' "$(awk "BEGIN { printf \"%.3f\", ($last - $first) / 48 }")" ''
  for n in 16 32 64; do
    read -r seconds memory <<<"$(cost "$compiler" -g -- "chain$n")"
    row "$n residual blocks, -g; the binary has $(($(stat -c %s "$work/chain$n") / 1000000)) MB" "$seconds" "$memory"
  done
done
