#!/usr/bin/env bash
# Make sure that ngspice's shared library and its XSPICE code models are there; install them where this system can.
#
# The library (libngspice) is what thermograd loads; the code models (analog.cm) play the thermal noise into a
# transient. On Debian and Ubuntu the first is in the package libngspice0, the second in ngspice.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf '[setup] error: %s\n' "$*" >&2; exit 2; }

prefixes=(/usr /usr/local /opt/homebrew /home/linuxbrew/.linuxbrew ${CONDA_PREFIX:+"$CONDA_PREFIX"})

exists() { compgen -G "$1" >/dev/null; }

have_library() {
    if [ -n "${THERMOGRAD_NGSPICE:-}" ]; then
        [ -e "$THERMOGRAD_NGSPICE" ] || die "THERMOGRAD_NGSPICE=$THERMOGRAD_NGSPICE does not exist"
        return 0
    fi
    local prefix
    for prefix in "${prefixes[@]}"; do
        exists "$prefix/lib/libngspice.*" || exists "$prefix/lib64/libngspice.*" || exists "$prefix/lib/*/libngspice.*" || continue
        return 0
    done
    return 1
}

have_code_models() {
    if [ -n "${SPICE_LIB_DIR:-}${THERMOGRAD_NGSPICE:-}" ]; then return 0; fi # a build of one's own
    local prefix
    for prefix in "${prefixes[@]}"; do
        exists "$prefix/lib/ngspice/analog.cm" || exists "$prefix/lib64/ngspice/analog.cm" || exists "$prefix/lib/*/ngspice/analog.cm" || continue
        return 0
    done
    return 1
}

if have_library && have_code_models; then exit 0; fi

echo "[setup] installing ngspice"
if command -v apt-get >/dev/null; then
    tools/apt-install.sh libngspice0 ngspice || die "could not install ngspice; run as root: apt-get install libngspice0 ngspice"
elif command -v brew >/dev/null; then
    brew install libngspice ngspice || die "could not install ngspice; try: brew install libngspice ngspice"
elif [ -n "${CONDA_PREFIX:-}" ] && command -v conda >/dev/null; then
    conda install --yes --channel conda-forge ngspice || die "could not install ngspice; try: conda install -c conda-forge ngspice"
else
    die "libngspice is missing: install ngspice with its shared library (apt: libngspice0 ngspice; brew: libngspice; conda-forge: ngspice; Fedora: libngspice ngspice) and repeat"
fi
if ! have_library || ! have_code_models; then
    die "ngspice was installed, but its library or code models were not found; set THERMOGRAD_NGSPICE to the path of libngspice"
fi
