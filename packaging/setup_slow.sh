#!/bin/sh
# Gets what `make test-slow` and `make bench` need: PyTorch's sam2, and a GPU that software plays.
set -eu
cd "$(dirname "$0")/.."

wanted=tests/reference/requirements.txt
venv=target/reference-venv
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi

# Other people's readers of our exports; without what they need for anything else.
wanted=tests/readers/requirements.txt
venv=target/readers-venv
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi

# Servers of others, for models that run elsewhere.
for server in mlserver kserve triton openvino; do
    wanted=tests/servers/$server.txt
    venv=target/$server-venv
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
done

# SwiftShader comes with Debian's Chromium; only its two files are taken, nothing is installed.
swiftshader="$PWD/target/swiftshader"
if [ ! -e "$swiftshader/vk_swiftshader_icd.json" ] && command -v apt-get >/dev/null 2>&1; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    (cd "$scratch" && apt-get download chromium chromium-common >/dev/null && for deb in ./*.deb; do dpkg -x "$deb" .; done)
    mkdir -p "$swiftshader"
    find "$scratch" \( -name 'libvk_swiftshader.so' -o -name 'vk_swiftshader_icd.json' \) -exec cp {} "$swiftshader" \;
fi
