#!/usr/bin/env bash
# apptainer-root.sh FOLDER: a Debian 13 root folder that holds Apptainer, for machines whose own C library is too old
# for the package. No mirror is named: mmdebstrap takes the distribution's default.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$here/../common.sh"
root=$(realpath -m "${1:?a folder is needed: apptainer-root.sh FOLDER}")
[ -x "$root/usr/bin/apptainer" ] && [ -e "$root/etc/subuid" ] && exit 0
[ "$(id -u)" = 0 ] || skip "apptainer's root folder can only be made by root"
need_command mmdebstrap mmdebstrap || skip "mmdebstrap is missing, and apt cannot install it"

# Only Apptainer comes from unstable: it is in no stable release. The date in unstable's index is not checked, since
# a test machine's clock may be wrong. The hooks' $1 is the root folder.
new=$root.new
rm -rf "$new"
mkdir -p "$(dirname "$root")"
# shellcheck disable=SC2016
mmdebstrap --mode=root --variant=minbase \
  --include=ca-certificates,squashfs-tools,squashfuse,fuse-overlayfs,fuse3,procps \
  --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
  --setup-hook='printf "Package: *\nPin: release n=sid\nPin-Priority: 100\n" >"$1/etc/apt/preferences.d/sid"' \
  --customize-hook='sed -n "s/^\(deb .*\) trixie /\1 sid /p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/sid.list"' \
  --customize-hook='chroot "$1" apt-get -q -o Acquire::Check-Valid-Until=false update' \
  --customize-hook='chroot "$1" apt-get -q -y --no-install-recommends install apptainer/sid' \
  --customize-hook='printf "root:100000:65536\n" | tee "$1/etc/subuid" >"$1/etc/subgid"' \
  trixie "$new" >"$root.log" 2>&1 ||
  skip "no Debian 13 root folder: $(grep -m1 -E '^E: ' "$root.log" || tail -n 1 "$root.log")"
rm -rf "$root"
mv "$new" "$root"
