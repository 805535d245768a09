#!/usr/bin/env bash
# refused.sh DEFINITION TEXT: merging the variants of small.cpp behind DEFINITION must fail and say TEXT.
cd "$(dirname "$0")" || exit 1
object=$(mktemp)
trap 'rm -f "$object"' EXIT
said=$(bash ../../cmake/variants/variants.sh compile small "$object" "baseline avx2" small.cpp -- "$1" 2>&1) && echo "it was merged" && exit 1
echo "$said"
[[ $said == *"$2"* ]]
