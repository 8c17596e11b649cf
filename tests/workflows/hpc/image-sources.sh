# shellcheck shell=bash
# Sourced after common.sh: what an image is made of, and its labels.

# shellcheck disable=SC2034
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' "$repo/Cargo.toml")
# shellcheck disable=SC2034
revision=$(git -C "$repo" rev-parse HEAD 2>/dev/null || echo unknown)

sources_digest() ( # one number for all the files that the image is made of
  cd "$repo"
  shopt -s nullglob
  find Cargo.* ./*.rs rust-toolchain.toml LICENSE* THIRD-PARTY* .cargo src containers -type f ! -name README.md -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
)
