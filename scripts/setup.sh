#!/usr/bin/env bash
# Installs what the examples and tests need on a Debian machine, and makes the ordinary user of the rootless tests:
#
#   scripts/setup.sh            what building rbuild and making the base images takes
#   scripts/setup.sh --tests    also other people's container tools, and the user `tester`
#
# Does nothing that was done before. Needs root (or sudo) only if something is missing.
set -euo pipefail

build=(gcc libc6-dev make pkg-config)
rootless=(uidmap passt)
bases=(busybox-static mmdebstrap docker-registry skopeo curl ca-certificates)
tests=(g++ qemu-user-static umoci podman crun runc slirp4netns redis-tools apache2-utils procps git nginx-light fcgiwrap
  openssh-client openssh-server zstd)

packages=("${build[@]}" "${rootless[@]}" "${bases[@]}")
if [[ ${1:-} == --tests ]]; then packages+=("${tests[@]}"); fi

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else
    echo "setup.sh: this needs root: $*" >&2
    exit 3
  fi
}

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "setup: installing ${missing[*]}" >&2
  as_root apt-get update -qq
  # Programs, not services: a registry that the package starts on its own port is of no use here.
  as_root sh -c '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
      trap "rm -f $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >$policy
      chmod +x $policy
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  ' setup "${missing[@]}"
fi

if [[ ${1:-} == --tests ]]; then
  user=${RBUILD_TEST_USER:-tester}
  id "$user" >/dev/null 2>&1 || as_root useradd --create-home --shell /bin/bash "$user"
  for kind in subuid subgid; do
    if ! grep -q "^$user:" "/etc/$kind" 2>/dev/null; then
      # The first range above all that are given away.
      first=$(awk -F: 'BEGIN { next_id = 100000 } $2 + $3 > next_id { next_id = $2 + $3 } END { print next_id }' \
        "/etc/$kind" 2>/dev/null || echo 100000)
      as_root sh -c "echo '$user:$first:65536' >>/etc/$kind"
    fi
  done
fi
