#!/usr/bin/env bash
# Says in one line each what is missing to build LapseGAN, and how to get it. Silent where all is there.
set -u
missing=0
need() { # COMMAND, what it is, how to get it
  command -v "$1" >/dev/null 2>&1 && return
  echo "error: $1 is missing ($2); $3" >&2
  missing=1
}
need cargo "Rust 1.95" "install it from https://rustup.rs"
need c++ "a C++ compiler" "Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++"
need cc "a C compiler" "Debian, Ubuntu: apt-get install gcc; Fedora: dnf install gcc"
# A libtorch that is there already needs no Python.
if [ -z "${LIBTORCH:-}" ] && [ ! -e libtorch/lib ]; then
  need python3 "Python 3, to fetch libtorch" "Debian, Ubuntu: apt-get install python3 python3-pip"
fi
exit "$missing"
