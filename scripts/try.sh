#!/usr/bin/env bash
# The main job from nothing: builds rbuild, builds a React app with it in one stage that another stage serves, runs the
# image, and builds it again to show that nothing runs twice.
#
#   scripts/try.sh
#
# RBUILD=PATH takes a binary that is already there. The bases come from Docker Hub; where that cannot be reached they are
# made from Debian's packages. Everything but what is installed goes to a folder that is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*" >&2; }

say "what building needs"
scripts/setup.sh
if [[ -z ${RBUILD:-} ]]; then
  say "rbuild"
  cargo build --release --locked -p rbuild
  RBUILD=${CARGO_TARGET_DIR:-target}/release/rbuild
fi

work=$(mktemp -d /var/tmp/rbuild-try.XXXXXX)
# In a user's own namespace some of the store's files belong to other ids, which only rbuild can remove.
trap '[[ -z ${registry_pid:-} ]] || registry_stop
  rm -rf "$work" 2>/dev/null || unshare --map-auto --map-root-user rm -rf "$work"' EXIT
export RBUILD_ROOT=$work/store

say "the bases"
if ! "$RBUILD" pull node:18-alpine 2>"$work/pull.log" || ! "$RBUILD" pull nginx:1.23-alpine 2>"$work/pull.log"; then
  tail -n 3 "$work/pull.log" >&2
  echo "Docker Hub cannot be used: making the bases from Debian's packages" >&2
  storage=$(scripts/bases.sh)
  source scripts/registry.sh
  registry_start "$storage" readonly
  printf '[registry."docker.io"]\nmirrors = ["%s"]\n' "$registry_address" >"$work/registries.toml"
  export RBUILD_REGISTRIES=$work/registries.toml
fi

say "rbuild -t react-nginx examples/react-nginx"
"$RBUILD" build -t react-nginx examples/react-nginx

say "rbuild run react-nginx: the server answers"
# Through a pipe, which nginx may open anew as its log whoever owns this script's output.
"$RBUILD" run --network none react-nginx sh -c 'nginx & sleep 1; wget -q -O - http://127.0.0.1/' | cat

say "rbuild -t react-nginx examples/react-nginx, once more"
"$RBUILD" build --progress plain -t react-nginx examples/react-nginx 2>&1 | tee "$work/again.log"
if grep -E '^#[0-9]+ \[.*(RUN|COPY|WORKDIR) ' "$work/again.log" | cut -d' ' -f1 | sort -u |
  while read -r step; do grep -qx "$step CACHED" "$work/again.log" || echo "$step"; done | grep -q .; then
  echo "try.sh: a step ran again" >&2
  exit 1
fi
say "every step hit"
