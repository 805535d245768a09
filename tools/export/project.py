"""What stands around the structs: the header, a handle that hides the library (examples/embed), a check against PyTorch's results, CMake."""
import os
import re

from expressions import FUNCTIONS
from structure import references
from write import FORMALS, Writer, identifier


LOCALS = "handle network network_ inputs results weights constants file folder bound best worst start count arguments error i e main".split()


def snake(name):
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    text = re.sub(r"\W+", "_", text, flags=re.ASCII).lower()
    text = re.sub(r"(^|_)([a-z0-9])_", r"\1\2", text).lstrip("_") or "net"  # unet, not u_net
    text = re.sub(r"^(?=\d)", "net_", text)
    return "net_" if text == "net" else text + "_net" if text in FUNCTIONS or text in ("model", "network") else text


def variable(name):
    """The name of an input or result in the handle and the check, whose own names it must not have."""
    name = name if name in FORMALS else identifier(name)
    return name + "_tensor" if name in LOCALS else name


class Project:
    def __init__(self, description):
        self.d = description
        self.w = Writer(description)
        self.ns = re.sub(r"_+", "_", snake(description["name"]))
        root = self.w.root
        if self.ns == root:
            self.ns += "_net"
        self.inputs = description["inputs"]
        self.names = []
        for entry in self.inputs:
            self.names.append(variable(entry["name"]))
        shapes = self.w.structure.shape_of
        self.outputs = [shapes[r][0] for r in references(description["results"])]
        self.output_names = []
        def walk(s, name):
            if isinstance(s, str):
                self.output_names.append(variable(name) if name else f"result{len(self.output_names)}")
            elif "dict" in s:
                for k, v in s["dict"].items():
                    if v is not None:
                        walk(v, k)
            else:
                for v in s["list"]:
                    if v is not None:
                        walk(v, "")
        walk(description["results"], "")
        if self.output_names == ["result0"]:
            self.output_names = ["result"]
        for k, n in enumerate(self.output_names):
            while n in self.names or n in self.output_names[:k]:
                n += "out" if n.endswith("_") else "_out"
            self.output_names[k] = n

    def header(self):
        text = self.w.text
        inputs = "".join(f', input<"{i["name"]}", {", ".join(map(str, i["shape"]))}>' if i["shape"] else f', input<"{i["name"]}">' for i in self.inputs)
        notes = "".join(f"// {n}.\n" for n in self.d["notes"])
        load = ""
        if self.w.folded:
            load = '''
/// The weights of a checkpoint, and what the network computes of nothing but itself: constants that the exporter folded.
inline void load(auto& network, const std::string& weights, const std::string& constants) {
  const auto folded = [](std::string_view path) { return path.substr(path.rfind('.') + 1).starts_with("folded_"); };
  network.load(weights, volute::load_options{.allow_missing = folded, .ignore = folded});
  network.load(constants, volute::load_options{.allow_missing = [folded](std::string_view path) { return !folded(path); }});
}
'''
        includes = "#include <volute/volute.hpp>\n"
        if self.w.folded:
            includes = "#include <volute/io/safetensors.hpp>\n" + includes
        if "numeric_limits" in text:
            includes += "\n#include <limits>\n"
        return f'''// {self.d["origin"]}, exported from PyTorch by tools/export. The paths of parameters are those of its state_dict.
{notes}#pragma once

{includes}
namespace {self.ns} {{

using namespace volute;
namespace nn = volute::nn;

{text}

using model = volute::model<{self.w.root}{inputs}>;
{load}
}}  // namespace {self.ns}
'''

    def spans(self, sizes, names, const):
        return ", ".join(f"std::span<{const}float, {s}> {n}" for s, n in zip(sizes, names))

    def sizes(self, shapes):
        out = []
        for s in shapes:
            n = 1
            for e in s:
                n *= e
            out.append(n)
        return out

    def constants_argument(self):
        return ", const std::string& constants" if self.w.folded else ""

    def handle_header(self):
        ins, outs = self.sizes([i["shape"] for i in self.inputs]), self.sizes(self.outputs)
        shape = lambda s: "(" + ", ".join(map(str, s)) + ")"
        told = "".join(f"  /// {n}: {shape(i['shape'])}{'' if i['type'] == 'F32' else ', whole numbers'}\n" for n, i in zip(self.names, self.inputs))
        told += "".join(f"  /// {n}: {shape(s)}\n" for n, s in zip(self.output_names, self.outputs))
        return f'''// {self.d["name"]} behind a handle: this header knows the standard library only; the network is compiled once, in {self.ns}_handle.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace {self.ns} {{

class handle {{
 public:
  /// With the weights of a safetensors file. Throws std::runtime_error if it does not fit.
  explicit handle(const std::string& weights{self.constants_argument()});
  ~handle();

  /// Tensors in row-major order. Allocates nothing, throws nothing; for one thread at a time.
{told}  void operator()({self.spans(ins, self.names, "const ")}, {self.spans(outs, self.output_names, "")}) noexcept;

 private:
  struct network;
  std::unique_ptr<network> network_;
}};

}}  // namespace {self.ns}
'''

    def handle_source(self):
        ins, outs = self.sizes([i["shape"] for i in self.inputs]), self.sizes(self.outputs)
        inputs = ", ".join(f"{n}.data()" for n in self.names)
        load = "load(*network_, weights, constants);" if self.w.folded else "network_->load(weights);"
        if len(outs) == 1:
            run = f"network_->run(inputs, {self.output_names[0]}.data());"
        else:
            run = f"float* const results[]{{{', '.join(n + '.data()' for n in self.output_names)}}};\n  network_->run(inputs, results);"
        return f'''// The one file that includes the library.
#include "{self.ns}_handle.hpp"

#include "{self.ns}.hpp"

#include <volute/io/safetensors.hpp>

namespace {self.ns} {{

struct handle::network : model {{}};

handle::handle(const std::string& weights{self.constants_argument()}) : network_(std::make_unique<network>()) {{
  {load}
}}
handle::~handle() = default;

void handle::operator()({self.spans(ins, self.names, "const ")}, {self.spans(outs, self.output_names, "")}) noexcept {{
  const float* const inputs[]{{{inputs}}};
  {run}
}}

}}  // namespace {self.ns}
'''

    def check(self):
        ins, outs = self.sizes([i["shape"] for i in self.inputs]), self.sizes(self.outputs)
        constants = f', folder + "{self.ns}.constants.safetensors"' if self.w.folded else ""
        read = "\n".join(f'  const std::vector<float> {n} = file.values<float>("input.{i["name"]}");' for n, i in zip(self.names, self.inputs))
        room = "\n".join(f"  std::vector<float> {n}({s});" for n, s in zip(self.output_names, outs))
        arguments = ", ".join([f"std::span<const float, {s}>({n})" for n, s in zip(self.names, ins)] +
                              [f"std::span<float, {s}>({n})" for n, s in zip(self.output_names, outs)])
        compare = "\n".join(f'  worst = std::max(worst, error("{n}", {n}, file.values<float>("result.{k}")));'
                            for k, n in enumerate(self.output_names))
        return f'''// Compares the network with what PyTorch computed when it was exported: {self.ns}_check [folder [largest error]].
#include "{self.ns}_handle.hpp"

#include <volute/io/safetensors.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <vector>

/// The largest difference, over the largest of the expected numbers; equal infinities and what is no number in both differ by nothing.
static double error(const char* name, const std::vector<float>& got, const std::vector<float>& expected) {{
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {{
    if (std::isfinite(expected[i])) largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    if (got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]))) continue;
    const double d = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    difference = d > difference || d != d ? d : difference;
  }}
  const double relative = difference == 0 ? 0 : difference / largest;
  std::printf("%s: %zu numbers, largest %.4g, error %.2e of it\\n", name, expected.size(), largest, relative);
  return got.size() == expected.size() && relative == relative ? relative : 1;
}}

int main(int count, char** arguments) try {{
  const std::string folder = std::string(count > 1 ? arguments[1] : ".") + "/";
  const double bound = count > 2 ? std::stod(arguments[2]) : 1e-5;
  const volute::safetensors_file file(folder + "{self.ns}_check.safetensors");
{read}
{room}
  {self.ns}::handle network(folder + "{self.ns}.safetensors"{constants});
  double best = 1e30;
  for (int i = 0; i < 3; ++i) {{
    const auto start = std::chrono::steady_clock::now();
    network({arguments});
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }}
  double worst = 0;
{compare}
  std::printf("%s, %.3f ms a run on one thread\\n", worst <= bound ? "as PyTorch" : "NOT as PyTorch", best);
  return worst <= bound ? 0 : 1;
}} catch (const std::exception& e) {{
  std::fprintf(stderr, "%s\\n", e.what());
  return 2;
}}
'''

    def cmake(self):
        return f'''# add_subdirectory(<this folder>), then target_link_libraries(your_program PRIVATE {self.ns}) and #include "{self.ns}_handle.hpp".
# By itself: cmake -S . -B build -DVOLUTE=<where volute is> && cmake --build build && build/{self.ns}_check .
cmake_minimum_required(VERSION 3.25)
project({self.ns} LANGUAGES CXX)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
if(NOT TARGET volute::io)
  if(VOLUTE)
    add_subdirectory(${{VOLUTE}} ${{CMAKE_CURRENT_BINARY_DIR}}/volute EXCLUDE_FROM_ALL)
  else()
    find_package(volute REQUIRED)
  endif()
endif()
option({self.ns.upper()}_NATIVE "Compile for the processor of this machine" ON)

add_library({self.ns} STATIC {self.ns}_handle.cpp)
target_include_directories({self.ns} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_link_libraries({self.ns} PRIVATE volute::io)
if({self.ns.upper()}_NATIVE)
  target_compile_options({self.ns} PRIVATE -march=native)
endif()

add_executable({self.ns}_check {self.ns}_check.cpp)
target_link_libraries({self.ns}_check PRIVATE {self.ns} volute::io)
'''

    def write(self, folder):
        """All at once, after everything has been translated."""
        files = {f"{self.ns}.hpp": self.header(), f"{self.ns}_handle.hpp": self.handle_header(), f"{self.ns}_handle.cpp": self.handle_source(),
                 f"{self.ns}_check.cpp": self.check(), "CMakeLists.txt": self.cmake()}
        os.makedirs(folder, exist_ok=True)
        for name, text in files.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        return self.ns
