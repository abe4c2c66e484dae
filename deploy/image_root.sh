#!/bin/bash
# Puts the program and what it needs to run, and nothing else, into a directory: the whole of a container's file system.
#
#   deploy/image_root.sh PROGRAM DIR      build/release/bin/upwell image
#
# That is: the shared libraries that it is linked with and those that it loads at their first use (libcurl, libcrypto, netCDF,
# HDF5), the loader, certificates, the forms of collections, and the files that name users and hosts. DIR must not be there. No shell, no package manager.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
program=$(readlink -e "$1") || { echo "image_root: $1 is not there" >&2; exit 66; }
root=$2
[ ! -e "$root" ] || { echo "image_root: $root is there already" >&2; exit 73; }

# Sonames in the program's text that are not among what it is linked with: it loads them by name.
loaded_later() {
  grep -aoE 'lib(curl|crypto|netcdf|hdf5)[A-Za-z0-9_.-]*\.so[.0-9]*' "$program" | sort -u
}
path_of() {  # SONAME
  ldconfig -p | awk -v name="$1" '$1 == name && !seen++ { print $NF }'
}
linked_with() {  # FILE
  ldd "$1" | awk '/=> \// { print $3 } $1 ~ /^\// { print $1 }'
}

declare -A wanted=()
add() {  # FILE
  local file
  while read -r file; do
    [ -z "$file" ] || wanted[$file]=1
  done < <(printf '%s\n' "$1"; linked_with "$1")
}
while read -r file; do wanted[$file]=1; done < <(linked_with "$program")
for soname in $(loaded_later); do
  file=$(path_of "$soname")
  [ -n "$file" ] || { echo "image_root: $soname is not on this machine" >&2; exit 66; }
  add "$file"
done

mkdir -p "$root"/{etc/ssl/certs,etc/upwell,tmp,home/upwell,usr/local/bin}
chmod 1777 "$root/tmp"
install -m 755 "$program" "$root/usr/local/bin/upwell"
install -m 644 "$(dirname "$(readlink -f "$0")")/collections.yaml" "$root/etc/upwell/collections.yaml"
for file in "${!wanted[@]}"; do
  # Under the very name by which the loader asks for it; links become files.
  mkdir -p "$root$(dirname "$file")"
  install -m 755 "$(readlink -e "$file")" "$root$file"
done
# Certificates as OpenSSL and libcurl of Debian look for them.
install -m 644 "$(readlink -e /etc/ssl/certs/ca-certificates.crt)" "$root/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/nologin\nupwell:x:65532:65532:upwell:/home/upwell:/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nupwell:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
chown -R 65532:65532 "$root/home/upwell" 2>/dev/null || true  # as root, in the image
