#!/usr/bin/env bash
# Sourced: what an image is made of, and its labels.

# shellcheck disable=SC2034
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' "$LAPSEGAN_REPO/Cargo.toml")
# shellcheck disable=SC2034
revision=$(git -C "$LAPSEGAN_REPO" rev-parse HEAD 2>/dev/null || echo unknown)

sources_digest() { # one number for all the files that the image is made of
  (cd "$LAPSEGAN_REPO" &&
    find Cargo.toml Cargo.lock build.rs rust-toolchain.toml LICENSE .cargo src containers/*.{sh,def} -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
}
