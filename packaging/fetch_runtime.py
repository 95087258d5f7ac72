#!/usr/bin/env python3
"""Puts ONNX Runtime's library where Segue finds it: the one file that is needed out of a pinned Python wheel.

    fetch_runtime.py [FOLDER]

Without FOLDER it goes to the user's cache folder. Does nothing if the library is there already.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.27.0"
PACKAGE = "onnxruntime-webgpu"

# By system and processor: pip's platforms, the wheel's SHA-256, the library in the wheel.
WHEELS = {
    ("Linux", "x86_64"): (
        ["manylinux_2_27_x86_64", "manylinux_2_28_x86_64"],
        "142eb8bdb803c58117bf64164d201f43180bc87229cac14b590aa4ea79e0f70b",
        f"onnxruntime/capi/libonnxruntime.so.{VERSION}",
    ),
}
PYTHON = "311"  # The wheel's Python; the library in it is the same for all.


def fail(sentence):
    sys.exit(f"cannot get ONNX Runtime: {sentence}")


def default_folder():
    """The cache folder that the program looks in, see engine/src/nn/runtime.rs."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return cache / "segue" / f"onnxruntime-{VERSION}"


def download(folder, platforms):
    """The path of the wheel, as pip gets it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", PYTHON, "--abi", f"cp{PYTHON}"]
    for name in platforms:
        command += ["--platform", name]
    result = subprocess.run([*command, f"{PACKAGE}=={VERSION}"], capture_output=True, text=True)
    if result.returncode != 0:
        if "No module named pip" in result.stderr:
            fail("Python has no pip; install it (Debian, Ubuntu: python3-pip)")
        if "No matching distribution" in result.stderr and "connection broken" not in result.stderr:
            fail(f"the package index has no {PACKAGE} {VERSION} for this system")
        lines = result.stderr.strip().splitlines()
        fail(f"the download failed; is there a network? pip says: {lines[-1] if lines else 'nothing'}")
    return next(Path(folder).glob("*.whl"))


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder()
    system = (platform.system(), platform.machine())
    if system not in WHEELS:
        known = ", ".join(" ".join(each) for each in WHEELS)
        fail(f"there is none for {' '.join(system)} here (only {known}); see the README for other systems")
    platforms, sha256, member = WHEELS[system]
    target = folder / Path(member).name
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download(scratch, platforms)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != sha256:
            fail(f"{wheel.name} has the wrong hash ({found}, not {sha256}); nothing was installed")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: another run may be looking.
            partial = target.with_name(f"{target.name}.{os.getpid()}.part")
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, partial.open("wb") as out:
                shutil.copyfileobj(source, out)
            partial.replace(target)
        except OSError as error:
            fail(f"it cannot be written: {error}")
    print(f"ONNX Runtime {VERSION}: {target}")


if __name__ == "__main__":
    main()
