#!/usr/bin/env bash
# Puts Nextflow from Maven Central into the cache folder, where its own download address cannot be reached:
# install.sh [CACHE]. Prints the lines of shell that select it; exit 77 where Maven does not answer.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-${LAPSEGAN_CACHE:-$(cd "$here/../../.." && pwd)/.cache}}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
home=$cache/nextflow
version=$(sed -n '/<artifactId>nextflow</{n;s/.*<version>\(.*\)<.*/\1/p}' "$here/pom.xml")
skip() { echo "skipped: $1"; exit 77; }

# shellcheck source-path=SCRIPTDIR source=../packages.sh
source "$here/../packages.sh"

install() {
  local work=$home.new
  rm -rf "$work"
  mkdir -p "$work"
  need_command java openjdk-17-jre-headless || skip "no Java 17, and apt cannot install it"
  need_command mvn maven || skip "no Maven, and apt cannot install it"
  mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$work/lib" >"$work/maven.log" 2>&1 ||
    skip "Maven could not fetch Nextflow $version: $(grep -m1 ERROR "$work/maven.log" || echo 'see maven.log')"
  # The launcher is Nextflow's own script, so that the tests call what users call.
  { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q nextflow==26.10.3; } >"$work/pip.log" 2>&1 ||
    skip "pip could not fetch Nextflow's launcher: $(tail -n 1 "$work/pip.log")"
  mkdir "$work/bin"
  cp "$work/venv/bin/nextflow" "$work/bin/nextflow"
  rm -rf "$work/venv"
  thin_jar "$work"
  echo "$version" >"$work/.complete"
  rm -rf "$home"
  mv "$work" "$home"
}

# A jar of nothing but a manifest that names the others: what the launcher takes in place of the one big jar.
thin_jar() { # FOLDER
  python3 - "$1" <<'PY'
import os, sys, zipfile
folder = sys.argv[1]
jars = " ".join(f"lib/{name}" for name in sorted(os.listdir(f"{folder}/lib")))
text = ""
for line in ("Manifest-Version: 1.0", "Main-Class: nextflow.cli.Launcher", f"Class-Path: {jars}"):
    text += line[:72] + "\r\n"  # a longer line goes on after a space
    rest = line[72:]
    while rest:
        text += " " + rest[:71] + "\r\n"
        rest = rest[71:]
with zipfile.ZipFile(f"{folder}/nextflow-thin.jar", "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", text)
PY
}

[ "$(cat "$home/.complete" 2>/dev/null)" = "$version" ] || install
need_command java openjdk-17-jre-headless || skip "no Java 17, and apt cannot install it"
# No plugin is loaded from the network, and no newer version is looked for.
cat <<ENV
export PATH="$home/bin:\$PATH"
export NXF_VER=$version NXF_BIN="$home/nextflow-thin.jar" NXF_HOME="$home/home"
export NXF_OFFLINE=true NXF_DISABLE_CHECK_LATEST=true NXF_ANSI_LOG=false
ENV
