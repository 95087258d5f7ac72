#!/bin/sh
# Gets what the build needs on Debian and Ubuntu, and ONNX Runtime; quick when nothing is missing.
# With the word "test", also what the tests need.
set -eu
cd "$(dirname "$0")/.."

packages="clang libclang-dev pkg-config libavcodec-dev libavformat-dev libavutil-dev libswscale-dev"
# The window: what it is loaded with, and drawing without a graphics card.
packages="$packages libxkbcommon-x11-0 libx11-xcb1 libxcursor1 libxi6 libxrandr2 libvulkan1 mesa-vulkan-drivers"
[ "${1:-}" = test ] && packages="$packages ffmpeg xvfb xdotool"

# A Python from elsewhere brings its own pip and venv; Debian's does not.
python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
python3 -c "import ensurepip" 2>/dev/null || packages="$packages python3-venv"

if command -v dpkg-query >/dev/null 2>&1; then
    missing=""
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        echo "installing$missing"
        root=""
        [ "$(id -u)" -eq 0 ] || root="sudo"
        export DEBIAN_FRONTEND=noninteractive
        $root apt-get update -qq
        # shellcheck disable=SC2086
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    fi
else
    echo "this is neither Debian nor Ubuntu: see the README for what to install by hand" >&2
fi

command -v cargo >/dev/null 2>&1 || { echo "there is no Rust here; get it from https://rustup.rs" >&2; exit 1; }
python3 packaging/fetch_runtime.py

if [ "${1:-}" = test ]; then
    wanted=tests/requirements.txt
    venv=target/test-venv
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
fi
