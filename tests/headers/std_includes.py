#!/usr/bin/env python3
"""Names of the standard library that a header uses without having its header: `std_includes.py FOLDER [--planted]`. A header has what it includes, and
what those of ours that it includes have. What other libraries happen to include does not count. --planted adds a header that must be found."""
import re
import sys
from pathlib import Path

NAMES = {
    "algorithm": "sort stable_sort min max minmax_element max_element min_element copy copy_n fill fill_n find find_if all_of any_of none_of count_if equal reverse rotate transform lower_bound upper_bound clamp nth_element remove_if unique is_sorted",
    "array": "array to_array", "atomic": "atomic atomic_flag atomic_ref memory_order_relaxed memory_order_acquire memory_order_release",
    "bit": "bit_cast bit_width popcount countr_zero has_single_bit bit_ceil", "charconv": "from_chars to_chars",
    "chrono": "chrono", "cmath": "sqrt exp log log1p expm1 sin cos tan tanh pow floor ceil round lround nearbyint isnan isfinite isinf erf fma ldexp frexp",
    "condition_variable": "condition_variable", "csignal": "signal", "cstdint": "int64_t int32_t int8_t int16_t uint64_t uint32_t uint8_t uint16_t uintptr_t",
    "cstdio": "printf fprintf snprintf FILE fputs fopen fclose", "cstdlib": "abort exit getenv strtod malloc free aligned_alloc",
    "deque": "deque", "cstring": "memcpy memset memmove memcmp strlen strerror", "exception": "exception exception_ptr current_exception rethrow_exception terminate uncaught_exceptions",
    "filesystem": "filesystem", "fstream": "ifstream ofstream", "functional": "function less greater hash",
    "initializer_list": "initializer_list", "limits": "numeric_limits", "map": "map multimap", "memory": "unique_ptr shared_ptr weak_ptr make_unique make_shared construct_at destroy_at",
    "mutex": "mutex lock_guard unique_lock once_flag call_once", "new": "align_val_t bad_alloc nothrow launder", "numeric": "accumulate iota gcd lcm",
    "optional": "optional nullopt", "set": "set", "span": "span as_bytes", "sstream": "ostringstream istringstream stringstream",
    "stdexcept": "runtime_error logic_error invalid_argument out_of_range", "string": "string to_string stod stoi getline", "string_view": "string_view",
    "system_error": "system_error error_code generic_category system_category", "thread": "thread this_thread",
    "tuple": "tuple make_tuple tie apply tuple_size_v tuple_cat", "type_traits": "is_same_v conditional_t enable_if_t remove_cvref_t is_void_v is_arithmetic_v bool_constant true_type false_type integral_constant remove_const_t decay_t is_const_v is_invocable_v invoke_result_t",
    "utility": "move forward pair make_pair swap exchange index_sequence make_index_sequence integer_sequence make_integer_sequence declval", "variant": "variant visit monostate", "vector": "vector", "unordered_map": "unordered_map",
}
HEADER = {name: header for header, names in NAMES.items() for name in names.split()}
# What the standard promises to come with another one.
ALSO = {"string": {"string_view", "initializer_list"}, "vector": {"initializer_list"}, "map": {"initializer_list"}, "span": {"array"}, "utility": {"initializer_list"},
        "tuple": {"utility"}, "algorithm": {"initializer_list"}}


def main(folder, planted=False):
    folder = Path(folder)
    text = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.hpp")}
    if planted:
        text["planted.hpp"] = "#include <volute/core/extents.hpp>\nstd::deque<std::int64_t> queue;"
    has = {}

    def closure(name):
        if name not in has:
            has[name] = set()
            for included in re.findall(r"^#include <([^>]+)>", text[name], re.M):
                has[name] |= closure(included) if included in text else {included, *ALSO.get(included, ())}
        return has[name]

    wrong = 0
    for name in sorted(text):
        code = re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", "", text[name], flags=re.S)
        for used in sorted(set(re.findall(r"\bstd::(\w+)", code))):
            header = HEADER.get(used)
            if header and header not in closure(name):
                print(f"{name}: std::{used} wants #include <{header}>")
                wrong += 1
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--planted" in sys.argv[2:]))
