#!/usr/bin/env bash
# base-root.sh FOLDER: what stands for the images of a registry where none can be reached. FOLDER/debian is a plain Debian
# 12, FOLDER/rust the same with this machine's Rust, a C++ compiler and pip, as the official Rust image has them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$here/../common.sh"
dir=$(realpath -m "${1:?a folder is needed: base-root.sh FOLDER}")

[ "$(id -u)" = 0 ] || skip "root folders of a distribution can only be made by root"
need_command mmdebstrap mmdebstrap || skip "mmdebstrap is missing, and apt cannot install it"
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$repo/rust-toolchain.toml")
sysroot=$(cd "$repo" && rustc --print sysroot) || skip "no Rust here to put into the base"
"$sysroot/bin/rustc" --version | grep -qF "rustc $pinned " || skip "Rust here is not the pinned $pinned"

# The hooks' $1 is the root folder. The certificates and pip's settings of this machine are what the builds need to get out through its proxies, if any.
# shellcheck disable=SC2016
debian() { # FOLDER PACKAGES
  mmdebstrap --mode=root --variant=minbase --include="$2" \
    --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
    --customize-hook='[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$1/etc/"' \
    bookworm "$1" >"$dir/debian.log" 2>&1 ||
    skip "no Debian 12 root folder: $(grep -m1 -E '^E: ' "$dir/debian.log" || tail -n 1 "$dir/debian.log")"
  # Apptainer's copy cannot hold device files, and cannot read folders of other users.
  find "$1/dev" -mindepth 1 -delete
  rm -rf "$1"/var/{cache/apt/archives,lib/apt/lists}/partial
}

mkdir -p "$dir"
if [ "$(cat "$dir/.complete" 2>/dev/null)" != "$pinned" ]; then
  rm -rf "$dir/debian" "$dir/rust"
  debian "$dir/debian" ca-certificates
  debian "$dir/rust" ca-certificates,g++,python3,python3-pip
  mkdir -p "$dir/rust/usr/local/lib/rustlib"
  cp "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$dir/rust/usr/local/bin/"
  cp -a "$sysroot"/lib/lib* "$dir/rust/usr/local/lib/"
  cp -a "$sysroot"/lib/rustlib/*-linux-gnu "$dir/rust/usr/local/lib/rustlib/"
  echo "$pinned" >"$dir/.complete"
fi
