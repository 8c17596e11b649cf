#!/usr/bin/env bash
# Sourced: installs Debian packages where a command is missing.

need_command() { # COMMAND PACKAGE...: true where the command is there in the end
  local command=$1
  shift
  command -v "$command" >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  echo "installing $*" >&2
  # The lists are fetched only where a package is not known yet: that takes longer than most packages.
  apt_install "$@" || { apt-get -q update && apt_install "$@"; } >&2 || return 1
  command -v "$command" >/dev/null 2>&1
}

apt_install() { # PACKAGE...
  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@" >&2
}
