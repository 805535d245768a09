"""Volute for Conan 2, from the sources that it stands in: `conan create packaging/conan`.

Where the system has the libraries (Debian: see README.md), a profile can say so, and Conan makes no packages of them:
    [platform_requires]
    xtensor/0.24.3
    xsimd/8.1.0
    boost/1.74.0
    nlohmann_json/3.11.2
    libzip/1.7.3
"""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load


class Volute(ConanFile):
    name = "volute"
    description = "3D neural networks as C++20 types"
    license = "BSD-3-Clause"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_files": [True, False], "with_npz": [True, False]}
    default_options = {"with_files": True, "with_npz": False, "boost/*:header_only": True}
    no_copy_source = True

    def set_version(self):
        header = load(self, os.path.join(self.recipe_folder, "../../include/volute/version.hpp"))
        self.version = ".".join(re.findall(r"#define VOLUTE_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "../..")
        for pattern in ("include/*", "cmake/*", "CMakeLists.txt", "LICENSE", "CHANGELOG.md"):
            copy(self, pattern, root, self.export_sources_folder)

    def requirements(self):
        self.requires("xtensor/[>=0.24.3 <0.26]", transitive_headers=True)
        self.requires("xsimd/[>=8.1.0 <14]", transitive_headers=True)
        self.requires("boost/[>=1.74.0 <2]", transitive_headers=True)
        if self.options.with_files:
            self.requires("nlohmann_json/[>=3.11.0 <4]", transitive_headers=True)
        if self.options.with_npz:
            self.requires("libzip/[>=1.7.0 <2]", transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "EXAMPLES", "BENCH"):
            toolchain.cache_variables[f"VOLUTE_BUILD_{part}"] = False
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        # Volute's own package file is found: it knows the compiler's options and volute_add_model.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["share/cmake/volute"]
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
