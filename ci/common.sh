# Sourced by the scripts beside it and by .ci/run.
ci=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/brinell-ci
engine=$cache/engine
mkdir -p "$cache"
# What the machine has itself comes first.
export PATH=$PATH:$engine/usr/bin:$engine/usr/sbin

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# step WHAT COMMAND...: runs it, and says how long it took if that was over a second.
# `timings` keeps a line for each step that ended, `running` names the one that has not.
timings=()
running=''
step() {
  local what=$1 started=$SECONDS
  shift
  running=$what
  echo "$what ..."
  "$@"
  local seconds=$((SECONDS - started))
  if ((seconds > 1)); then echo "$what: $seconds s"; fi
  timings+=("$(printf '%6d s  %s' "$seconds" "$what")")
  running=''
}

# One script at a time works on the cache; a second one waits. The lock ends with the process.
lock_cache() {
  exec 9>"$cache/lock"
  flock --nonblock 9 || step "waiting for another run" flock 9
}

# content_hash PATH...: changes when a file's name or content does; tests do not count.
content_hash() {
  find "$@" -type f ! -name '*_test.go' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16
}

install_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi
  ((EUID == 0)) || fail "needs root to install ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Where this machine itself gets Debian from.
debian_mirror() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' 'Component: main' | head -n 1)
  echo "${mirror:?apt knows no source for Debian bookworm}"
}

# Debian 12's engine and containerd are too old. sid's are unpacked here, beside the
# system, never installed: the engine for this machine, containerd and the CNI
# plug-ins for the node as well.
unpack_engine() {
  if [[ -d $engine ]]; then return; fi
  local unfinished=$cache/engine.unfinished program archive
  rm -rf "$unfinished"
  mkdir -p "$unfinished"/{root,debs,lists/partial,archives/partial}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) sid main" >"$unfinished/sources.list"
  cat >"$unfinished/apt.conf" <<CONFIGURATION
Dir::Etc::sourcelist "$unfinished/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$unfinished/lists";
Dir::Cache "$unfinished";
APT::Sandbox::User "root";
CONFIGURATION
  APT_CONFIG=$unfinished/apt.conf apt-get update -qq
  (cd "$unfinished/debs" && APT_CONFIG=$unfinished/apt.conf apt-get download -qq docker.io docker-cli containerd containernetworking-plugins kind)
  for archive in "$unfinished"/debs/*.deb; do dpkg -x "$archive" "$unfinished/root"; done
  # sid moves on: say it here, not later, if its programs have outgrown this C library.
  for program in bin/containerd bin/docker bin/kind sbin/dockerd; do
    "$unfinished/root/usr/$program" --version >/dev/null || fail "$program from Debian sid does not run on this machine"
  done
  mv "$unfinished/root" "$engine"
  rm -rf "$unfinished"
}
