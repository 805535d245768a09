#!/usr/bin/env bash
# One object of many processors: what volute_add_model() runs, and what builds without CMake call.
#
#   variants.sh compile NAME OUT.o "VARIANT..." SOURCE... [-- COMPILER-OPTION...]
#       compiles the sources once for each variant, and merges. A variant is one of those below or NAME=OPTION,OPTION; the last that a processor
#       runs is taken there, so name the least demanding first: "baseline avx2 avx512".
#   variants.sh merge NAME OUT.o VARIANT: OBJECT... VARIANT: OBJECT...
#       of objects that are there; each variant has one of features.cpp. The first variant's options are for the code that chooses (CXXFLAGS).
#   variants.sh options VARIANT
#       prints the compiler's options of a variant
#
# NAME names the model in messages: letters, digits and underscores. CXX, CXXFLAGS, LD (GNU ld), OBJCOPY, READELF: the tools.
# Each variant's objects become one, all of whose symbols but its functions of external linkage are local, so that the linker shares no code
# between variants, nor with the rest of the program; the functions jump through a table that is filled when the program starts.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for VOLUTE_INCLUDE in ${VOLUTE_INCLUDE:-} "$here/../../include" "$here/../../../include" "$here/../../../../include"; do
  [[ -e $VOLUTE_INCLUDE/volute/core/isa.hpp ]] && break
done
: "${CXX:=g++}" "${CXXFLAGS:=}" "${OBJCOPY:=objcopy}" "${READELF:=readelf}"
[[ -n ${LD:-} ]] || LD=$(type -P ld.bfd || echo ld)

die() {
  echo "volute variants: $*" >&2
  exit 1
}

options() {
  case $1 in
    *=*) tr , " " <<<"${1#*=}" ;;
    baseline) case $("$CXX" $CXXFLAGS -dumpmachine) in aarch64*) echo -march=armv8-a ;; x86_64*) echo -march=x86-64 ;; esac ;;
    sse4) echo -march=x86-64-v2 ;;
    avx2) echo -march=x86-64-v3 ;;
    avx512) echo -march=x86-64-v4 ;;
    sve256) echo -march=armv8.2-a+sve -msve-vector-bits=256 ;;
    *) die "unknown variant $1; known are baseline, sse4, avx2, avx512, sve256 and NAME=OPTION,OPTION" ;;
  esac
}

# The defined symbols of external linkage of an object: type, binding, visibility, section, name.
symbols() {
  "$READELF" -sW "$1" | awk '$5 == "GLOBAL" || $5 == "WEAK" || $5 == "UNIQUE" { if ($(NF-1) != "UND") print $4, $5, $6, $(NF-1), $NF }'
}

# isolate VARIANT OBJECT...: $work/VARIANT.o of them, and the list of its functions in $work/VARIANT.functions.
isolate() {
  local variant=$1 object=$work/$1.o wrong section
  "$LD" -r --force-group-allocation -o "$object.all" "${@:2}"
  symbols "$object.all" >"$object.symbols"
  awk '$2 == "GLOBAL" && ($1 == "FUNC" || $1 == "IFUNC") { print $5, $3 }' "$object.symbols" | sort >"$work/$variant.functions"
  # Tables of virtual functions and type information stay inside too: who needs one by name is told by the linker.
  wrong=$(awk '$2 == "GLOBAL" && $1 != "FUNC" && $1 != "IFUNC" && $5 !~ /^_ZT[VITS]/ && $5 != "volute_features" { print $5 }' "$object.symbols" | c++filt | paste -sd' ')
  [[ -z $wrong ]] || die "$variant: $wrong: a model's interface has functions only; make these variables static or inline"
  awk '$2 == "UNIQUE" { exit 1 }' "$object.symbols" || die "$variant: compile with -fno-gnu-unique"
  awk -v v="$variant" '{ print $1, $1 "." v } END { print "volute_features", "volute_features." v }' "$work/$variant.functions" >"$object.rename"
  awk '{ print $2 }' "$object.rename" >"$object.keep"
  "$READELF" -SW "$object.all" | grep -qE ' \.(fini_array|dtors|preinit_array)' &&
    die "$variant: functions that run at exit (__attribute__((destructor))) would run in variants that were not chosen"
  # Initial values of its global variables are computed by its own code, so only where it is chosen: the list becomes data, which the linker does
  # not give to the system. (With flags, or objcopy would keep the type of the section.)
  local rename=() list=.data.rel.ro.volute
  for section in $("$READELF" -SW "$object.all" | grep -oE ' \.(init_array|ctors)[.0-9]* ' | sort -u); do
    rename+=(--rename-section "$section=$list,alloc,load,data,contents")
  done
  "$OBJCOPY" --redefine-syms="$object.rename" "${rename[@]}" "$object.all" "$object.renamed"
  "$LD" -r -o "$object.linked" "$object.renamed"  # one list
  rename=()
  section=$("$READELF" -SW "$object.linked" | sed -nE "s/.* ${list//./\\.} +PROGBITS +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) .*/\1/p")
  echo $((16#${section:-0} / 8)) >"$work/$variant.initialisers"
  if [[ $section ]]; then
    rename=(--add-symbol "volute_initialisers.$variant=$list:0,global,object")
    echo "volute_initialisers.$variant" >>"$object.keep"
  fi
  "$OBJCOPY" "${rename[@]}" "$object.linked" "$object.renamed"
  "$OBJCOPY" --keep-global-symbols="$object.keep" "$object.renamed" "$object"
}

# The model's functions, each a jump through its slot, and the tables that fill the slots.
assembler() {
  local first=$1 variant symbol visibility machine count i=0
  machine=$("$CXX" $CXXFLAGS -dumpmachine)
  echo '.section .note.GNU-stack,"",%progbits'
  echo '.text'
  while read -r symbol visibility; do
    printf '.globl %s\n.type %s, %%function\n.p2align 4\n' "$symbol" "$symbol"
    [[ $visibility == DEFAULT ]] || echo ".${visibility,,} $symbol"
    echo "$symbol:"
    case $machine in
      x86_64*) printf 'endbr64\njmp *volute_slots+%d(%%rip)\n' $((8 * i)) ;;
      aarch64*) printf 'hint 34\nadrp x16, volute_slots+%d\nldr x16, [x16, :lo12:volute_slots+%d]\nbr x16\n' $((8 * i)) $((8 * i)) ;;
      *) die "no code for $machine" ;;
    esac
    printf '.size %s, .-%s\n' "$symbol" "$symbol"
    i=$((i + 1))
  done <"$work/$first.functions"
  echo '.section .data.rel.ro,"aw",%progbits'
  for variant in "$@"; do
    printf '.p2align 3\nvolute_table.%s:\n' "$variant"
    while read -r symbol visibility; do echo ".quad $symbol.$variant"; done <"$work/$variant.functions"
    count=$(cat "$work/$variant.initialisers")
    ((count)) && symbol=volute_initialisers.$variant || symbol=0
    printf 'volute_list.%s:\n.quad %s\n.quad %s\n' "$variant" $symbol "$count"
  done
  printf '.data\n.p2align 3\nvolute_slots:\n'
  while read -r symbol visibility; do echo ".quad $symbol.$first"; done <"$work/$first.functions"
  echo 'volute_slots_end:'
}

merge() {
  local out=$1 variants=() objects=() argument variant
  shift
  for argument in "$@" :; do
    if [[ $argument == *: ]]; then
      ((${#objects[@]})) && isolate "${variants[-1]}" "${objects[@]}"
      [[ $argument == : ]] && break
      [[ ${argument%:} =~ ^[A-Za-z0-9_]+$ ]] || die "${argument%:}: a variant's name has letters, digits and underscores only"
      variants+=("${argument%:}") objects=()
    else
      objects+=("$argument")
    fi
  done
  local first=${variants[0]}
  [[ -s $work/$first.functions ]] || die "the sources define no function of external linkage"
  local isolated=()
  for variant in "${variants[@]}"; do
    isolated+=("$work/$variant.o")
    cmp -s "$work/$first.functions" "$work/$variant.functions" ||
      die "$first and $variant define different functions: $(comm -3 "$work/$first.functions" "$work/$variant.functions" | awk '{ print $1 }' | c++filt | paste -sd' ')"
  done
  {
    echo "#define VOLUTE_MODEL $name"
    printf '#define VOLUTE_VARIANTS(F)'
    printf ' F(%s)' "${variants[@]}"
    printf '\n#include "%s/dispatch.cpp"\n' "$here"
    echo '__asm__(R"volute('
    assembler "${variants[@]}"
    echo '.text'
    echo ')volute");'
  } >"$work/dispatch.cpp"
  "$CXX" $CXXFLAGS -std=c++20 -O2 -fPIC -fno-lto -I"$VOLUTE_INCLUDE" -c "$work/dispatch.cpp" -o "$work/dispatch.o"
  "$LD" -r --force-group-allocation -o "$work/merged.o" "$work/dispatch.o" "${isolated[@]}"
  awk '{ print $1 }' "$work/$first.functions" >"$work/keep"
  "$OBJCOPY" --keep-global-symbols="$work/keep" "$work/merged.o" "$out"
}

compile() {
  local out=$1 list=$2 sources=() variant source i arguments=() first= definition unique=(-fno-gnu-unique) limits=(-fconstexpr-ops-limit=1000000000 -fconstexpr-loop-limit=10000000)
  case $("$CXX" --version) in *clang*) limits=(-fconstexpr-steps=100000000) unique=() ;; esac
  shift 2
  while (($#)) && [[ $1 != -- ]]; do sources+=("$1") && shift; done
  shift || true
  for variant in $list; do
    definition=VOLUTE_VARIANT_$(tr a-z A-Z <<<"${variant%%=*}")
    arguments+=("${variant%%=*}:")
    i=0
    for source in "${sources[@]}" "$here/features.cpp"; do
      "$CXX" -std=c++20 -I"$VOLUTE_INCLUDE" "${limits[@]}" "$@" $CXXFLAGS $(options "$variant") -fPIC -fno-lto \
        "${unique[@]}" -D"$definition" -c "$source" -o "$work/${variant%%=*}.$i.o"
      arguments+=("$work/${variant%%=*}.$i.o")
      i=$((i + 1))
    done
    first=${first:-$(options "$variant")}
  done
  CXXFLAGS+=" $first"
  merge "$out" "${arguments[@]}"
}

case ${1:-} in
  options) options "$2" ;;
  merge | compile)
    (($# >= 4)) || die "$1 wants more arguments; see the head of this file"
    name=$2
    [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || die "$name: a model's name has letters, digits and underscores only"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$1" "${@:3}"
    ;;
  *) die "merge, compile or options? See the head of this file" ;;
esac
