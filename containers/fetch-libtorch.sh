#!/usr/bin/env bash
# Puts libtorch 2.11.0 (what tch 0.24 binds) into a folder: fetch-libtorch.sh [FOLDER], default ./libtorch.
#
#   LIBTORCH=/path        use the libtorch that is there (a symbolic link is made)
#   LAPSEGAN_CUDA=1       everything a GPU needs, about 5 GB on disk
#   otherwise             the CPU part of the same build, 437 MB: the wheel holds both halves in separate files
#
# FOLDER/include-cuda holds the headers of CUDA (5 MB), against which liblapsegan_cuda.so is compiled on every machine.
# FOLDER/licenses holds the licence texts of what was fetched.
set -euo pipefail

version=2.11.0
target=${1:-libtorch}
variant=$([ "${LAPSEGAN_CUDA:-0}" = 1 ] && echo cuda || echo cpu)
fail() { printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# The variable counts only where it names another folder: .cargo/config.toml sets it to the default one.
if [ -n "${LIBTORCH:-}" ] && [ "$(realpath -m "$LIBTORCH")" != "$(realpath -m "$target")" ]; then
  [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] ||
    fail "LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so" "point it at a libtorch $version, or unset it and run make setup"
  [ -d "$target" ] && [ ! -L "$target" ] && fail "$target is a folder already" "remove it to use LIBTORCH=$LIBTORCH"
  ln -sfn "$(realpath "$LIBTORCH")" "$target"
  echo "libtorch: using $LIBTORCH"
  exit 0
fi
[ -L "$target" ] && exit 0
complete=$([ "$(cat "$target/.complete" 2>/dev/null)" = "$version $variant" ] && echo yes || echo no)
[ $complete = yes ] && [ -d "$target/include-cuda" ] && exit 0
command -v python3 >/dev/null || fail "python3 is missing" "install Python 3 (Debian: apt-get install python3 python3-pip)"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing" "install it (Debian: apt-get install python3-pip)"

here=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d "$(dirname "$(realpath -m "$target")")/.libtorch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The CPU half names two run-time libraries of the CUDA 13 build; they need no driver.
cuda=('nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cupti==13.0.*')
python3 -m pip download --quiet --no-deps --dest "$work/wheels" "${cuda[@]}" >&2
python3 - "$work" <<'PY'
import glob, sys, zipfile
work = sys.argv[1]
for wheel in glob.glob(f"{work}/wheels/*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            head, found, path = name.partition("/include/")
            if found and head.startswith("nvidia/") and path:
                z.getinfo(name).filename = path
                z.extract(name, f"{work}/include-cuda")
PY
if [ $complete = yes ]; then
  python3 "$here/keep-licenses.py" "$work/wheels" "$target/licenses"
  chmod -R u+rwX,go+rX "$work/include-cuda"
  mv "$work/include-cuda" "$target/include-cuda"
  exit 0
fi
echo "libtorch: downloading $version ($variant)" >&2
if [ "$variant" = cuda ]; then
  python3 -m pip install --quiet --no-compile --target "$work/site" "torch==$version" >&2
  mkdir -p "$work/out"
  python3 "$here/keep-licenses.py" "$work/site" "$work/out/licenses"
  # The libraries find cuDNN and the rest in ../../nvidia, as inside the Python environment.
  mv "$work/site" "$work/out/site"
  ln -s site/torch/lib "$work/out/lib"
  ln -s site/torch/include "$work/out/include"
else
  python3 -m pip download --quiet --no-deps --dest "$work/wheels" "torch==$version" >&2
  mkdir -p "$work/out/lib"
  python3 "$here/keep-licenses.py" "$work/wheels" "$work/out/licenses"
  python3 - "$work" <<'PY'
import glob, os, shutil, sys, zipfile
work = sys.argv[1]
lib = {"libtorch.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
for wheel in glob.glob(f"{work}/wheels/*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            base = os.path.basename(name)
            if base in lib:
                with z.open(name) as src, open(f"{work}/out/lib/{base}", "wb") as dst:
                    shutil.copyfileobj(src, dst, 1 << 22)
                lib.discard(base)
            elif name.startswith("torch/include/") and base:
                z.extract(name, f"{work}/headers")
if lib:
    sys.exit(f"error: the wheels lack {sorted(lib)}")
shutil.move(f"{work}/headers/torch/include", f"{work}/out/include")
PY
fi
mv "$work/include-cuda" "$work/out/include-cuda"
printf '%s\n' "$version $variant" >"$work/out/.complete"
# mktemp makes the folder private; other users of the checkout must be able to read it.
chmod -R u+rwX,go+rX "$work/out"
rm -rf "$target"
mv "$work/out" "$target"
echo "libtorch: $version ($variant) in $target, $(du -sh "$target" | cut -f1)" >&2
