#!/usr/bin/env bash
# The build stage of both recipes: install-programs.sh PREFIX compiles the programs in the current source folder and puts
# them, with the libtorch they find relative to themselves, under PREFIX. LAPSEGAN_CUDA=1 takes the one for GPUs.
set -euo pipefail

prefix=${1:?folder to install into}

# The image of Rust must be the pinned one; the toolchain file would only make rustup fetch components for editors.
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
rm rust-toolchain.toml
rustc --version | grep -qF "rustc $pinned " || {
  echo "error: the base of the build stage has $(rustc --version), the project pins $pinned" >&2
  exit 1
}
if ! bash containers/check-prerequisites.sh 2>/dev/null || ! python3 -m pip --version >/dev/null 2>&1; then
  # Where root is only pretended, apt cannot become the user it else downloads as.
  apt-get -q -o APT::Sandbox::User=root update
  apt-get -q -o APT::Sandbox::User=root -y --no-install-recommends install g++ python3 python3-pip
fi

bash containers/fetch-libtorch.sh libtorch
cargo build --release --locked

install -D -t "$prefix/bin" target/release/{prepare,train,generate,evaluate,segment-benchmark}
# The terms of everything that the image passes on.
install -D -m 644 -t "$prefix/licenses" LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md
compgen -G 'libtorch/licenses/torch-*/LICENSE' >/dev/null || {
  echo "error: libtorch/licenses holds no licence of libtorch; remove libtorch, so that it is fetched anew" >&2
  exit 1
}
cp -R libtorch/licenses "$prefix/licenses/libtorch"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --locked --format-version 1 --filter-platform "$host" |
  python3 containers/list-crates.py >"$prefix/licenses/rust-crates.txt"
# Of libtorch only what is loaded at run time, where it was: its parts find each other by relative paths.
parts=(lib)
[ ! -d libtorch/site ] || parts+=(site/torch/lib site/nvidia)
mkdir -p "$prefix/libtorch"
(cd libtorch && find "${parts[@]}" \( -name '*.so' -o -name '*.so.*' -o -type l \) -print0) |
  tar -c -C libtorch --null --files-from=- | tar -x -C "$prefix/libtorch"
# The driver must come from the machine (--nv, --gpus); one in the image would not fit its kernel.
find "$prefix" -name 'libcuda.so*' -delete
