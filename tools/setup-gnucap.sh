#!/usr/bin/env bash
# Install gnucap, the second simulator, where this system's packages have it (Debian, Ubuntu). Only tests run it, and they say where it
# is missing, so that nothing else waits for it or fails without it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Its analyses are plug-ins, in a package that Debian only recommends.
works() { command -v gnucap >/dev/null && ! gnucap -b /dev/null 2>&1 </dev/null | grep -q "plugin not found"; }

works && exit 0
if command -v apt-get >/dev/null; then
    echo "[setup] installing gnucap"
    tools/apt-install.sh gnucap gnucap-default-plugins0 && works && exit 0
fi
echo "[setup] gnucap, the tests' second simulator, cannot be had here: its tests are skipped (Debian, Ubuntu: apt-get install gnucap gnucap-default-plugins0)" >&2
