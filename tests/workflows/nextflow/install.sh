#!/usr/bin/env bash
# Puts Nextflow from Maven Central into LAPSEGAN_CACHE, where its own download address cannot be reached, and a Python that
# knows JSON schemas. Prints the lines of shell that select them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$here/../common.sh"
cache=$(realpath -m "${LAPSEGAN_CACHE:-$repo/.cache}")
home=$cache/nextflow
version=$(sed -n '/<artifactId>nextflow</{n;s/.*<version>\(.*\)<.*/\1/p}' "$here/pom.xml")

install() {
  local work=$home.new
  rm -rf "$work"
  mkdir -p "$work/bin"
  need_command mvn maven || skip "no Maven, and apt cannot install it"
  mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$work/lib" >"$work/maven.log" 2>&1 ||
    skip "Maven could not fetch Nextflow $version: $(grep -m1 ERROR "$work/maven.log" || echo 'see maven.log')"
  # The launcher is Nextflow's own script, so that the tests call what users call.
  { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q nextflow==26.10.3; } >"$work/pip.log" 2>&1 ||
    skip "pip could not fetch Nextflow's launcher: $(tail -n 1 "$work/pip.log")"
  cp "$work/venv/bin/nextflow" "$work/bin/nextflow"
  rm -rf "$work/venv"
  # In place of the one big jar.
  python3 "$here/thin_jar.py" "$work"
  echo "$version" >"$work/.complete"
  rm -rf "$home"
  mv "$work" "$home"
}

need_command java openjdk-17-jre-headless || skip "no Java 17, and apt cannot install it"
[ "$(cat "$home/.complete" 2>/dev/null)" = "$version" ] || install
schemas=$cache/jsonschema
# Without it the schemas alone are left out, and the test says so.
[ -e "$schemas/.complete" ] ||
  { python3 -m venv "$schemas" && "$schemas/bin/pip" install -q jsonschema==4.26.0 && touch "$schemas/.complete"; } >&2 || true
# No plugin is loaded from the network, and no newer version is looked for.
cat <<ENV
export PATH="$home/bin:\$PATH"
export NXF_VER=$version NXF_BIN="$home/nextflow-thin.jar" NXF_HOME="$home/home"
export NXF_OFFLINE=true NXF_DISABLE_CHECK_LATEST=true NXF_ANSI_LOG=false
# Many short runs: no time for the optimising compiler.
export NXF_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
ENV
