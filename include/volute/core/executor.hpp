// Executors: the interface, the calling thread alone, and a pool of threads where the standard library has any (WebAssembly's has none).
#pragma once

#include <volute/core/executor_base.hpp>
#if defined(__STDCPP_THREADS__)
#include <volute/core/spinning_pool.hpp>
#endif
