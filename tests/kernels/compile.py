"""Compiles src/torch/cuda/kernels.cu as the programs do, for GPUs of three generations, and reads the machine code.

compile.py NVIDIA_FOLDER: the folder of the packages nvidia-cuda-nvrtc and nvidia-cuda-nvdisasm. No GPU is needed.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile
import time

SOURCES = pathlib.Path(__file__).parents[2] / "src/torch/cuda"
ARCHITECTURES = ["sm_80", "sm_90a", "sm_100"]
# Whose values are read one by one, since they are transposed, or are float32 sums that are written one by one.
NARROW_LOADS = re.compile(r"prepare_|fold")
NARROW_STORES = re.compile(r"fold")


def compiled(nvrtc, architecture):
    """Returns the machine code and what the assembler says of it."""
    names = sorted(path.name for path in SOURCES.glob("*.cu") if path.name != "kernels.cu")
    array = ctypes.c_char_p * len(names)
    texts = array(*[(SOURCES / name).read_bytes() for name in names])
    program = ctypes.c_void_p()
    source = (SOURCES / "kernels.cu").read_bytes()
    created = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source, b"kernels.cu", len(names), texts, array(*[name.encode() for name in names])
    )
    assert created == 0, created
    options = [b"--gpu-architecture=" + architecture.encode(), b"--std=c++17", b"--ptxas-options=-v"]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = taken(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).rstrip(b"\0").decode()
    assert code == 0, log
    return taken(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program), log


def taken(ask_size, ask, program):
    size = ctypes.c_size_t()
    assert ask_size(program, ctypes.byref(size)) == 0
    buffer = ctypes.create_string_buffer(size.value)
    assert ask(program, buffer) == 0
    return buffer.raw


def check(architecture, cubin, log, nvdisasm):
    """Returns what is wrong, line by line."""
    wrong = []
    spills = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
        log,
        re.DOTALL,
    )
    for name, stores, loads, _ in spills:
        if (stores, loads) != ("0", "0"):
            wrong.append(f"{name}: {stores} bytes spill stores, {loads} bytes spill loads")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        listing = subprocess.run([nvdisasm, "-c", file.name], check=True, capture_output=True, text=True).stdout
    parts = re.split(r"^\s*\.section\s+\.text\.(\w+),.*$", listing, flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2]))
    registers = {name: int(used) for name, _, _, used in spills}
    print(f"{architecture}: {len(registers)} kernels, {len(cubin) // 1024} KiB, at most {max(registers.values())} registers")
    if not registers or registers.keys() != texts.keys():
        wrong.append(f"kernels of the log and of the listing differ: {registers.keys() ^ texts.keys()}")
    for name, text in texts.items():
        loads, stores = (len(re.findall(rf"\b{word}\.E\S*\.128", text)) for word in ("LDG", "STG"))
        if not loads and not NARROW_LOADS.match(name):
            wrong.append(f"{name}: no load of 128 bits")
        if not stores and not NARROW_STORES.match(name):
            wrong.append(f"{name}: no store of 128 bits")
        if re.search(r"\b(LDL|STL|ATOM|ATOMG|RED|REDG)\b", text):
            wrong.append(f"{name}: local memory or atomics")
        if "-v" in sys.argv:
            print(f"  {name:32}{registers.get(name, 0):4} registers, {loads:3} loads and {stores:2} stores of 128 bits")
    return [f"{architecture}: {line}" for line in wrong]


def main():
    folder = pathlib.Path(sys.argv[1]) / "cu13"
    ctypes.CDLL(str(next(folder.glob("lib/libnvrtc-builtins.so.13.*"))), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(folder / "lib/libnvrtc.so.13"))
    wrong = []
    for architecture in ARCHITECTURES:
        begun = time.monotonic()
        cubin, log = compiled(nvrtc, architecture)
        wrong += check(architecture, cubin, log, folder / "bin/nvdisasm")
        print(f"  compiled and checked in {time.monotonic() - begun:.0f} s")
    sys.exit("\n".join(wrong) or 0)


main()
