# shellcheck shell=bash
# Sourced by all scripts here: messages, waiting, what a training or a plate must be, packages and daemons.
#
# run.sh gives each leg an empty working folder, the programs on PATH, and what run.sh says a leg finds.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
log=$PWD/log.txt # of the last command that passes, fails, or was started
part=''

skip() { echo "skipped: $1"; exit 77; }
fail() { # MESSAGE: shown with the end of the log
  echo "error: ${part:+$part: }$1" >&2
  [ ! -s "$log" ] || tail -n 40 "$log" | sed 's/^/  | /' >&2
  exit 1
}
say() { part=$1; printf '== %s (%d s)\n' "$1" "$SECONDS"; }
passes() { "$@" >"$log" 2>&1 || fail "this failed: $*"; }
fails() { ! "$@" >"$log" 2>&1 || fail "this passed: $*"; }
says() { grep -qF -- "$1" "${2:-$log}" || fail "no message: $1"; } # TEXT [FILE]
there() { # FILE...: each is there and not empty
  local path
  for path; do [ -s "$path" ] || fail "no $path"; done
}
wait_for() { # SECONDS COMMAND...: until the command succeeds
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*"
    sleep 0.1
  done
}

# Trainings and plates.

has_checkpoint() { # FOLDER: whether a training in it has a checkpoint beyond its start
  [ -n "$(find "$1" -path '*/checkpoints/kimg_*.json' ! -name 'kimg_000000.000.json' -print -quit)" ]
}
last_checkpoint() { # RUN
  find "$1/checkpoints" -name 'kimg_*.safetensors' | sort | tail -n 1
}
as_undisturbed() { # CHECKPOINT PLATE KIMG: fails where it has not the bytes of a training that nobody disturbed
  passes train --data "$2" --output undisturbed --preset tiny --kimg "$3" --seed 0 --threads 1 --device cpu --resume
  local last part
  last=$(last_checkpoint undisturbed)
  for part in safetensors json; do
    cmp "${last%.*}.$part" "${1%.*}.$part" || fail 'other bytes than those of an undisturbed training'
  done
}
same_plate() { # PLATE PLATE
  passes diff -r -x run.json -x .snakemake_timestamp "$1" "$2"
}
small_disk() { # FOLDER SIZE: false where mounting is not allowed
  mkdir -p "$1"
  mount -t tmpfs -o "size=$2" tmpfs "$1" 2>/dev/null || return 1
  # shellcheck disable=SC2064 # this very folder
  trap "umount '$(realpath "$1")'" EXIT
}

# Packages and daemons.

need_command() { # COMMAND PACKAGE...: installed where it is missing; true where the command is there in the end
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
alive() { # PID: whether its process is there
  kill -0 "$1" 2>/dev/null
}
end_daemon() { # PIDFILE: asked first, then killed
  local pid
  # A daemon that ends by itself removes the file.
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && alive "$pid" || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 100); do
    alive "$pid" || return 0
    sleep 0.1
  done
  kill -KILL "$pid"
  rm -f "$1"
}
