#!/usr/bin/env bash
# apt-get install the packages named, with sudo when not root. Package lists are refreshed only where the first try fails.
set -euo pipefail

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "not root and no sudo here; run as root: apt-get install $*" >&2; exit 2; }
    as_root=(sudo)
fi

apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@"; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt install -y --no-install-recommends "$@" >"$log" 2>&1 && exit 0
{ apt update && apt install -y --no-install-recommends "$@"; } >"$log" 2>&1 || { tail -n 15 "$log" >&2; exit 2; }
