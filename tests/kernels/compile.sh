#!/usr/bin/env bash
# The kernels of GPUs, compiled as the programs do it: nothing spills, and memory is read and written 128 bits at a time. No
# GPU is needed; the compiler and the disassembler are packages of 95 MB. 20 seconds on one core.
#
#   LAPSEGAN_VENV  Python environment, default .venv/kernels; made where it is not there, from requirements.txt
#
# Ends with 77 where Python or the package index is not there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
venv=${LAPSEGAN_VENV:-$repo/.venv/kernels}
# shellcheck source-path=SCRIPTDIR source=../interop/environment.sh
source "$here/../interop/environment.sh"
environment "$venv" requirements.txt python3 || {
  echo "skipped: Python 3.11 is not there, or the packages of tests/kernels/requirements.txt cannot be installed"
  exit 77
}
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
chmod +x "$packages"/nvidia/cu13/bin/nvdisasm
"$venv/bin/python" "$here/compile.py" "$packages/nvidia" "$@"
