// The version of these headers, for the preprocessor. CMakeLists.txt and the Conan recipe read it here; vcpkg.json repeats it.
#pragma once

#define VOLUTE_VERSION_MAJOR 0
#define VOLUTE_VERSION_MINOR 2
#define VOLUTE_VERSION_PATCH 0

/// One number that can be compared: 10203 is 1.2.3.
#define VOLUTE_VERSION (VOLUTE_VERSION_MAJOR * 10000 + VOLUTE_VERSION_MINOR * 100 + VOLUTE_VERSION_PATCH)
