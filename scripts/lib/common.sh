# Shared by the scripts: where things are and how they speak. Sourced; runs nothing by itself.
# shellcheck shell=bash disable=SC2034 # the variables are for those who source this
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TOOLS=$ROOT/.tools
ENVOY_VERSION=1.40.0
CARGO_DENY_VERSION=0.20.2
CARGO_FUZZ_VERSION=0.13.2
WASM_TARGETS=(wasm32-unknown-unknown wasm32-wasip1 wasm32-wasip2)

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

say() { printf '%s\n' "$*"; }
ok() { printf '  %sok%s    %s\n' "$GREEN" "$PLAIN" "$*"; }
doing() { printf '  %s...%s   %s\n' "$YELLOW" "$PLAIN" "$*"; }
complain() { printf '%s%s: %s%s\n' "$RED" "$(basename "$0")" "$*" "$PLAIN" >&2; }
die() {
  complain "$*"
  exit 1
}

# The compiler that rust-toolchain.toml pins; the only place that says which.
pinned_rust() { sed -n 's/^channel = "\(.*\)"$/\1/p' "$ROOT/rust-toolchain.toml"; }

# Runs a command with its output in a log; shows the log's tail if it fails.
# usage: logged LOG COMMAND...
logged() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] && return 0
  complain "'$*' failed (status $status); the end of $log:"
  tail -n 25 "$log" | sed 's/^/      /' >&2
  return "$status"
}

# Where this machine's apt has Debian's packages from; no host is named in this repository.
debian_mirror() {
  if [ -n "${DEBIAN_MIRROR:-}" ]; then
    echo "$DEBIAN_MIRROR"
  else
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -m1 -E '/debian/?$' ||
      die "this machine's apt knows no Debian mirror; name one with DEBIAN_MIRROR=URL"
  fi
}
