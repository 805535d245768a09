#!/usr/bin/env bash
# main() of Catch2 programs for a cross compiler: bash tests/catch2_3/main.sh OBJECT COMPILE...
# Of Catch2 2 it is in the header. Of Catch2 3 Debian has the library for its own machine only; its source package has it as one file.
set -euo pipefail
object=$1
shift
if [[ -e /usr/include/catch2/catch.hpp ]]; then
  exec "$@" -O0 -c "$(dirname "$0")/../main.cpp" -o "$object"
fi
folder=$(dirname "$object")/catch2_source
if [[ ! -e $folder/catch_amalgamated.cpp ]]; then
  mkdir -p "$folder/parts" "$folder/lists/partial"
  cat /etc/apt/sources.list 2>/dev/null | sed 's/^deb /deb-src /' >"$folder/sources.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ ! -e $file ]] || sed 's/^Types: .*/Types: deb-src/' "$file" >"$folder/parts/${file##*/}"
  done
  cd "$folder"
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$PWD/sources.list" -o "Dir::Etc::sourceparts=$PWD/parts" -o "Dir::State::lists=$PWD/lists"
    -o APT::Sandbox::User=root)
  "${apt[@]}" update
  "${apt[@]}" source --download-only catch2
  tar xf catch2_*.orig.tar.gz --strip-components 2 --wildcards '*/extras/catch_amalgamated.*'
  cd - >/dev/null
fi
exec "$@" -w -O0 -c "$folder/catch_amalgamated.cpp" -o "$object"
