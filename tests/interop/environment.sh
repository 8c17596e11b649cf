# To be sourced: Python environments from lock files of this folder. Needs $here, the folder.

# environment FOLDER LOCK PYTHON: makes a Python environment with what a lock file lists, where it is not there yet.
environment() {
  cmp -s "$here/$2" "$1/requirements.txt" && return
  command -v "$3" >/dev/null && "$3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || return
  rm -rf "$1"
  "$3" -m venv "$1" && "$1/bin/pip" install --quiet --requirement "$here/$2" || return
  cp "$here/$2" "$1/requirements.txt"
}
