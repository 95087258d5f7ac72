#!/usr/bin/env python3
"""Puts ONNX Runtime's library where Segue finds it: what is needed out of pinned Python wheels.

    fetch_runtime.py [--cuda] [FOLDER]

With --cuda it is the one for NVIDIA cards, with all that it needs of CUDA and cuDNN: 1.4 GB to download.
Without FOLDER it goes to the user's cache folder. Does nothing if the library is there already.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

VERSION = "1.27.0"


class Wheel(NamedTuple):
    """A package, its wheel's SHA-256, and which files of it are wanted, as a pattern."""

    package: str
    version: str
    sha256: str
    wanted: str


# By system and processor.
PLAIN = {
    ("Linux", "x86_64"): [
        Wheel(
            "onnxruntime-webgpu",
            VERSION,
            "142eb8bdb803c58117bf64164d201f43180bc87229cac14b590aa4ea79e0f70b",
            r"libonnxruntime\.so\.[\d.]+",
        ),
    ],
}
# The CUDA libraries are those of CUDA 13.0, for drivers from 580 on.
CUDA = {
    ("Linux", "x86_64"): [
        Wheel(
            "onnxruntime-gpu",
            VERSION,
            "404fb845dc06a04a28df5a2c6d5967bcf3f534e7df0b98507ff81686a1b49594",
            r"libonnxruntime(_providers_\w+)?\.so.*",
        ),
        Wheel(
            "nvidia-cuda-runtime",
            "13.0.96",
            "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            r"libcudart\.so.*",
        ),
        Wheel(
            "nvidia-cublas",
            "13.1.0.3",
            "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
            r"libcublas(Lt)?\.so.*",
        ),
        Wheel(
            "nvidia-cufft",
            "12.0.0.61",
            "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
            r"libcufft\.so.*",
        ),
        Wheel(
            "nvidia-curand",
            "10.4.0.35",
            "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
            r"libcurand\.so.*",
        ),
        Wheel(
            "nvidia-cuda-nvrtc",
            "13.0.88",
            "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
            r"libnvrtc(-builtins)?\.so.*",
        ),
        Wheel(
            "nvidia-cudnn-cu13",
            "9.19.0.56",
            "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
            r"libcudnn\w*\.so.*",
        ),
    ],
}
TAGS = ["2_28", "2_27", "2_17", "2014", "2_12", "2010"]  # Of glibc, as pip names them.
PYTHON = "311"  # The wheels' Python; the libraries in them are the same for all.


def fail(sentence):
    sys.exit(f"cannot get ONNX Runtime: {sentence}")


def default_folder(kind):
    """The cache folder that the program looks in, see engine/src/nn/runtime/library.rs."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return cache / "segue" / f"onnxruntime-{VERSION}{kind}"


def download(wheel, folder):
    """The path of the wheel, as pip gets it, with the right hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", PYTHON, "--abi", f"cp{PYTHON}", "--abi", "none"]
    for tag in TAGS:
        command += ["--platform", f"manylinux{'_' if '_' in tag else ''}{tag}_{platform.machine()}"]
    name = f"{wheel.package}=={wheel.version}"
    result = subprocess.run([*command, name], capture_output=True, text=True)
    if result.returncode != 0:
        if "No module named pip" in result.stderr:
            fail("Python has no pip; install it (Debian, Ubuntu: python3-pip)")
        if "No matching distribution" in result.stderr and "connection broken" not in result.stderr:
            fail(f"the package index has no {wheel.package} {wheel.version} for this system")
        lines = result.stderr.strip().splitlines()
        fail(f"the download failed; is there a network? pip says: {lines[-1] if lines else 'nothing'}")
    path = next(Path(folder).glob("*.whl"))
    found = sha256(path)
    if found != wheel.sha256:
        fail(f"{path.name} has the wrong hash ({found}, not {wheel.sha256}); nothing was installed")
    return path


def sha256(path):
    """A file's hash, without having all of it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def extract(path, wanted, folder):
    """Puts the files of a wheel whose names fit into a folder."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.rpartition("/")[2]
            if re.fullmatch(wanted, name):
                with archive.open(member) as source, (folder / name).open("wb") as out:
                    shutil.copyfileobj(source, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuda", action="store_true", help="for NVIDIA cards")
    parser.add_argument("folder", nargs="?", type=Path)
    args = parser.parse_args()
    folder = args.folder or default_folder("-cuda" if args.cuda else "")
    table, system = CUDA if args.cuda else PLAIN, (platform.system(), platform.machine())
    if system not in table:
        known = ", ".join(" ".join(each) for each in table)
        fail(f"there is none for {' '.join(system)} here (only {known}); see the README for other systems")
    target = folder / f"libonnxruntime.so.{VERSION}"
    if target.exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The library comes last: where it is, all is. Beside its place, for a file is moved there at once.
        with tempfile.TemporaryDirectory(dir=folder) as parts:
            for wheel in table[system]:
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    extract(download(wheel, scratch), wheel.wanted, Path(parts))
            for part in sorted(Path(parts).iterdir(), key=lambda part: part.name == target.name):
                part.replace(folder / part.name)
    except OSError as error:
        fail(f"it cannot be written: {error}")
    print(f"ONNX Runtime {VERSION}: {target}")


if __name__ == "__main__":
    main()
