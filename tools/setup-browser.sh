#!/usr/bin/env bash
# Install a Chromium, in which the tests open the interactive pages: this system's package (Debian), else playwright's own build. Only
# tests run it, and they say where it is missing, so that nothing else waits for it or fails without it.
set -euo pipefail
cd "$(dirname "$0")/.."

here() {
    local name
    for name in chromium chromium-browser google-chrome; do
        # Ubuntu's package is a script that asks for a snap.
        if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then return 0; fi
    done
    .venv/bin/python -c 'import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as running: sys.exit(not pathlib.Path(running.chromium.executable_path).exists())' 2>/dev/null
}

here && exit 0
if command -v apt-get >/dev/null; then
    echo "[setup] installing chromium"
    tools/apt-install.sh chromium >/dev/null 2>&1 && here && exit 0
fi
if [ -x .venv/bin/playwright ]; then
    echo "[setup] fetching playwright's Chromium"
    .venv/bin/playwright install --with-deps --only-shell chromium && here && exit 0
fi
echo "[setup] no Chromium can be had here: the tests of interactive pages are skipped (Debian: apt-get install chromium)" >&2
