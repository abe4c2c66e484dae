#!/bin/bash
# Proves that a newcomer's machine needs nothing: runs commands of a fresh clone in a minimal Debian 12 that holds only
# ca-certificates and git.
#
#   tools/bare_root.sh DIR [COMMAND...]      default commands: './dev demo --check' './dev test'
#   tools/bare_root.sh --keep DIR COMMAND... go on in the root that an earlier run left, with the clone brought up to date
#
# DIR-clean keeps the root as debootstrap made it, so that only the first run fetches it. Mirror, proxies, certificates and
# pip's settings are this machine's, copied when the root is made. Needs root, debootstrap and about 6 GB. BARE_SHARED=DIR
# shows the conformance data to the clone (read-only); without it the tests that need it say that they skip.
set -euo pipefail
repository=$(git -C "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" rev-parse --show-toplevel)
say() { printf '\033[1m▸ %s\033[0m\n' "$*" >&2; }
die() { printf 'bare_root: %s\n' "$*" >&2; exit 1; }

keep=
[ "${1:-}" != --keep ] || { keep=1; shift; }
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
[ "$(id -u)" = 0 ] || die "run me as root: debootstrap and chroot need it"
command -v debootstrap >/dev/null || die "debootstrap is not installed"
root=$(readlink -m "$1")
shift
[ $# -gt 0 ] || set -- './dev demo --check' './dev test'
case "$root" in / | /usr* | /etc* | /home | /root | /var) die "refusing to use $root" ;; esac
clean=$root-clean

make_clean_root() {
  local mirror
  mirror=${BARE_MIRROR:-$(sed -nsE 's/^(URIs:|deb( \[[^]]*\])?) +([^ ]+).*/\3/p' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)}
  [ -n "$mirror" ] || die "no Debian mirror in /etc/apt; give one in BARE_MIRROR"
  say "debootstrap into $clean"
  rm -rf "$clean.part"
  debootstrap --variant=minbase --include=ca-certificates,git bookworm "$clean.part" "$mirror" >&2
  cp /etc/resolv.conf /etc/hosts "$clean.part/etc/"
  if [ -e /etc/apt/sources.list.d/debian.sources ]; then
    rm "$clean.part/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$clean.part/etc/apt/sources.list.d/"
  fi
  apt-config dump | grep -iE '^Acquire::https?::(Proxy|CaInfo)' > "$clean.part/etc/apt/apt.conf.d/90machine" || true
  [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$clean.part/etc/pip.conf"
  # A machine behind its own certificate authority: the whole bundle, since that is what it was told to trust.
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$clean.part/etc/ssl/certs/ca-certificates.crt"
  cp -a /usr/local/share/ca-certificates/. "$clean.part/usr/local/share/ca-certificates/" 2>/dev/null || true
  mv "$clean.part" "$clean"
}

# Mounts live in a namespace of their own and go away with the last process in it, whatever happens.
inside() {  # COMMAND LINE, run in the clone
  local -a passed=()
  local name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_EXTRA_INDEX_URL \
      PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_CERT SSL_CERT_FILE REQUESTS_CA_BUNDLE TERM; do
    [ -z "${!name:-}" ] || passed+=("$name=${!name}")
  done
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1 shared=$2 command=$3
    shift 3
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" 2>/dev/null || true
    if [ -n "$shared" ]; then
      mkdir -p "$root/root/shared"
      mount --bind -o ro "$shared" "$root/root/shared"
    fi
    exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" \
      chroot "$root" /bin/bash -c "cd /root/upwell 2>/dev/null || cd /root; $command"
  ' bash "$root" "${BARE_SHARED:-}" "$1" "${passed[@]}" </dev/null
}

[ -d "$clean" ] || make_clean_root
if [ -z "$keep" ] || [ ! -d "$root" ]; then
  say "copying $clean to $root"
  rm -rf "$root"
  cp -a --reflink=auto "$clean" "$root"
fi
say "cloning $(git -C "$repository" log --oneline -1)"
git -C "$repository" bundle create -q "$root/root/upwell.bundle" HEAD
if [ -d "$root/root/upwell" ]; then
  inside 'git fetch -q ../upwell.bundle HEAD && git checkout -q --detach FETCH_HEAD'
else
  inside 'git clone -q upwell.bundle upwell'
fi

for command in "$@"; do
  say "in the bare root: $command"
  start=$SECONDS
  if inside "$command"; then
    say "passed in $((SECONDS - start)) s: $command"
  else
    die "failed with status $? after $((SECONDS - start)) s: $command"
  fi
done
