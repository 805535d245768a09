// What chooses one variant of a model when the program starts. variants.sh compiles it behind VOLUTE_MODEL, the model's name,
// VOLUTE_VARIANTS(F), F(variant) for each from the least demanding to the most, and an assembler text with these symbols:
//   volute_table.VARIANT   addresses of the variant's functions
//   volute_list.VARIANT    address and number of the functions that give its global variables their values
//   volute_slots           as many addresses, through which the model's functions jump; at first those of the first variant
//   volute_slots_end
#include <volute/core/isa.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

namespace {

using address = void*;
using initialiser = void (*)();

struct list {
  const initialiser* first;
  unsigned long long count;
};

struct variant {
  const char* name;
  const unsigned long long* needs;
  const address* functions;
  const list* initialisers;  // of its global variables
};

// Hidden: of this object, so that no address comes from a table that the linker makes (for 64-bit ARM ld ignores offsets there).
#pragma GCC visibility push(hidden)
extern "C" {
extern address slots[] __asm__("volute_slots");
extern address slots_end[] __asm__("volute_slots_end");
#define VOLUTE_DECLARE(v)                                                      \
  extern const unsigned long long features_##v __asm__("volute_features." #v); \
  extern const address table_##v[] __asm__("volute_table." #v);                \
  extern const list list_##v __asm__("volute_list." #v);
VOLUTE_VARIANTS(VOLUTE_DECLARE)
}
#pragma GCC visibility pop

const variant variants[] = {
#define VOLUTE_ROW(v) {#v, &features_##v, table_##v, &list_##v},
    VOLUTE_VARIANTS(VOLUTE_ROW)};

/// What the processor has (and the system keeps): bits as VOLUTE_ISA_FEATURES.
unsigned long long features_of_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
#define VOLUTE_HAS(i, macro, name) | (static_cast<unsigned long long>(__builtin_cpu_supports(name) != 0) << i)
  return 0 VOLUTE_ISA_LIST(VOLUTE_HAS);
#elif defined(__aarch64__)
  [[maybe_unused]] const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
#define VOLUTE_HAS(i, macro, test) | (static_cast<unsigned long long>(((test)) != 0) << i)
  return 0 VOLUTE_ISA_LIST(VOLUTE_HAS);
#else
  return ~0ull;
#endif
}

/// Vectors of SVE have a length that a variant is compiled for.
bool runs(const variant& v, unsigned long long has) {
  if ((*v.needs & ~has & 0xffffffff) != 0) return false;
#if defined(__aarch64__)
  const unsigned long long bits = *v.needs >> 32;
  if (bits != 0 && (static_cast<unsigned long long>(prctl(PR_SVE_GET_VL)) & PR_SVE_VL_LEN_MASK) * 8 != bits) return false;
#endif
  return true;
}

/// The last variant that the processor runs, or the one that the environment's VOLUTE_ISA names.
const variant* choose() {
  const unsigned long long has = features_of_processor();
  const char* const wish = std::getenv("VOLUTE_ISA");
  const variant* chosen = nullptr;
  for (const variant& v : variants) {
    if (!runs(v, has)) continue;
    chosen = &v;
    if (wish != nullptr && std::strcmp(wish, v.name) == 0) return chosen;
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "volute: this processor runs no variant of %s, not even %s\n", VOLUTE_ISA_TEXT(VOLUTE_MODEL), variants[0].name);
    std::abort();
  }
  if (wish != nullptr && *wish != '\0')
    std::fprintf(stderr, "volute: VOLUTE_ISA=%s: this processor runs no such variant of %s; %s it is\n", wish,
                 VOLUTE_ISA_TEXT(VOLUTE_MODEL), chosen->name);
  return chosen;
}

/// Before the program's own constructors (their priority is 65535).
__attribute__((constructor(101))) void start() {
  const variant& v = *choose();
  std::memcpy(slots, v.functions, static_cast<std::size_t>(slots_end - slots) * sizeof(address));
  for (unsigned long long i = 0; i < v.initialisers->count; ++i) v.initialisers->first[i]();
}

}  // namespace
