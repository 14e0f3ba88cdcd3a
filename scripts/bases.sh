#!/usr/bin/env bash
# Makes the base images of the examples and tests from Debian's packages and puts them into the storage of a registry:
#
#   scripts/bases.sh           prints the storage's folder, made if it is not there yet (needs no root)
#
# The images carry the names which a tutorial uses (node:18-alpine, python:3.9-slim ..) and are as small as those: busybox
# for a shell, the C library, and the one program they are about. They stand in for Docker Hub where it cannot be reached;
# scripts/registry.sh serves them. The result is kept between runs, under a name that changes with this recipe.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipe=$here/bases
suite=bookworm
ca_bundle=/etc/ssl/certs/ca-certificates.crt

if [[ -n ${RBUILD_TEST_CACHE:-} ]]; then cache=$RBUILD_TEST_CACHE
elif [[ $(id -u) == 0 ]]; then cache=/var/cache/rbuild-tests
else cache=${XDG_CACHE_HOME:-$HOME/.cache}/rbuild-tests
fi
mkdir -p "$cache"

key=$({ cat "$0" "$here/registry.sh" "$recipe"/*; cat "$ca_bundle" 2>/dev/null || true; } | sha256sum | cut -c1-16)
result=$cache/bases-$key

# Runs side by side are served by the first of them.
exec 9>"$cache/lock"
flock 9
if [[ -d $result ]]; then
  echo "$result"
  exit
fi
for tool in apt-get dpkg-deb busybox mmdebstrap skopeo docker-registry; do
  command -v "$tool" >/dev/null || { echo "bases.sh: \`$tool\` is missing: run scripts/setup.sh" >&2; exit 3; }
done

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
layout=$work/oci
mkdir -p "$layout/blobs/sha256" "$work/apt/lists/partial" "$work/apt/archives/partial"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
say() { echo "bases: $*" >&2; }

# -- packages -----------------------------------------------------------------------------------------------------------

# The mirror that this machine uses, with a state of its own: no pin and no foreign source of this machine takes part.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' 2>/dev/null | grep -v -m1 security || true
}
apt_options=(
  -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
  -o "Dir::State::lists=$work/apt/lists" -o Dir::State::status=/dev/null -o "Dir::State::extended_states=$work/apt/extended"
  -o "Dir::Cache::archives=$work/apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  -o APT::Install-Recommends=false -o APT::Sandbox::User= -o Debug::NoLocking=1 -o DPkg::Post-Invoke::=
  -o Acquire::Retries=3 -o Acquire::Languages=none -qq
)
echo "deb ${DEBIAN_MIRROR:-$(mirror)} $suite main" >"$work/apt/sources.list"
grep -q 'deb [a-z]' "$work/apt/sources.list" || {
  say "this machine's apt does not say where Debian's packages are: set DEBIAN_MIRROR to the address of a mirror"
  exit 1
}
say "reading the package lists of $suite"
apt-get "${apt_options[@]}" update

# closure PACKAGE..: the packages and all they depend on, without what only a package manager or a person at a terminal needs.
closure() {
  apt-get "${apt_options[@]}" -s install "$@" | sed -n 's/^Inst \([^ ]*\).*/\1/p' |
    grep -vxE 'debconf|dpkg|tar|perl-base|iproute2|openssl|ca-certificates|libdb5.3|libbpf1|libcap2-bin|readline-common' |
    grep -vxFf "$work/common" || true
}
# unpack FOLDER PACKAGE..: exactly these packages, over a tree whose /bin, /lib and /sbin lead into /usr.
unpack() {
  local root=$1 name
  shift
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
  for name in bin sbin lib lib64; do ln -sfn "usr/$name" "$root/$name"; done
  mkdir -p "$work/debs"
  (cd "$work/debs" && apt-get "${apt_options[@]}" download "$@")
  for name in "$@"; do
    dpkg-deb --fsys-tarfile "$work/debs/$name"_*.deb | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
      --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*' --exclude='./usr/lib/*/gconv/*'
  done
}

# -- images -------------------------------------------------------------------------------------------------------------

native=$(dpkg --print-architecture)
foreign=arm64
[[ $native != arm64 ]] || foreign=amd64

declare -A diff_id descriptor
# layer NAME FOLDER: the folder as a layer blob. Nothing in it depends on the clock or on who made it.
layer() {
  local name=$1 tar=$work/$1.tar
  tar -c -C "$2" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --format=gnu -f "$tar" .
  layer_of_tar "$name" "$tar"
}
layer_of_tar() {
  local name=$1 tar=$2 digest
  diff_id[$name]=sha256:$(sha256sum <"$tar" | cut -c1-64)
  gzip -1 -n "$tar"
  digest=$(sha256sum <"$tar.gz" | cut -c1-64)
  descriptor[$name]=$(blob_descriptor application/vnd.oci.image.layer.v1.tar+gzip "$digest" "$tar.gz")
  mv "$tar.gz" "$layout/blobs/sha256/$digest"
}
blob_descriptor() { # media type, digest, file
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$1" "$2" "$(stat -c %s "$3")"
}
document() { # media type, bytes; prints the descriptor
  local digest
  digest=$(printf %s "$2" | sha256sum | cut -c1-64)
  printf %s "$2" >"$layout/blobs/sha256/$digest"
  blob_descriptor "$1" "$digest" "$layout/blobs/sha256/$digest"
}
joined() { local IFS=,; echo "$*"; }
manifests=() tags=()
# image TAG CONFIG LAYER..: CONFIG is the `config` object of the image.
image() {
  local tag=$1 config=$2 name diffs=() layers=() history=()
  shift 2
  for name in "$@"; do
    diffs+=("\"${diff_id[$name]}\"")
    layers+=("${descriptor[$name]}")
    history+=("{\"created\":\"1970-01-01T00:00:00Z\",\"created_by\":\"Debian packages: $name\"}")
  done
  config=$(document application/vnd.oci.image.config.v1+json "{\"created\":\"1970-01-01T00:00:00Z\",\"architecture\":\"$(
    )${architecture:-$native}\",\"os\":\"linux\",\"config\":$config,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$(
    joined "${diffs[@]}")]},\"history\":[$(joined "${history[@]}")]}")
  manifest=$(document application/vnd.oci.image.manifest.v1+json "{\"schemaVersion\":2,\"mediaType\":\"$(
    )application/vnd.oci.image.manifest.v1+json\",\"config\":$config,\"layers\":[$(joined "${layers[@]}")]}")
  tag "$tag" "$manifest"
}
tag() { # tag, descriptor
  tags+=("$1")
  manifests+=("${2%\}},\"annotations\":{\"org.opencontainers.image.ref.name\":\"$1\"}}")
}
for_platform() { # architecture, descriptor
  printf %s "${2%\}},\"platform\":{\"architecture\":\"$1\",\"os\":\"linux\"}}"
}

path='"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'
# Package managers in a step must trust what this machine trusts.
trust="\"SSL_CERT_FILE=$ca_bundle\",\"NODE_EXTRA_CA_CERTS=$ca_bundle\",\"PIP_CERT=$ca_bundle\",\"REQUESTS_CA_BUNDLE=$ca_bundle\""

# The one base that has a package manager is made by one, beside the others.
mmdebstrap --quiet --variant=minbase --format=tar --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --aptopt='Acquire::Languages "none"' "$suite" "$work/debian.tar" "$(cat "$work/apt/sources.list")" \
  >"$work/mmdebstrap.log" 2>&1 </dev/null &
debian=$!

say "busybox, alpine"
busybox=$work/busybox
mkdir -p "$busybox"/usr/{bin,sbin,lib,lib64,local/bin} "$busybox"/{etc,root,home,proc,sys,dev,run,tmp,mnt,opt,srv} \
  "$busybox"/var/{log,lib,cache,tmp}
chmod 1777 "$busybox/tmp" "$busybox/var/tmp"
chmod 700 "$busybox/root"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$busybox/$name"; done
ln -s /run "$busybox/var/run"
install -m 755 "$(command -v busybox)" "$busybox/usr/bin/busybox"
for name in $("$busybox/usr/bin/busybox" --list); do
  [[ $name == busybox ]] || ln -s busybox "$busybox/usr/bin/$name"
done
cp "$recipe/passwd" "$recipe/group" "$busybox/etc/"
printf 'ID=debian\nVERSION_CODENAME=%s\nPRETTY_NAME="busybox from Debian %s"\n' "$suite" "$suite" >"$busybox/etc/os-release"
layer busybox "$busybox"
image busybox:latest "{\"Env\":[$path],\"Cmd\":[\"sh\"]}" busybox
image alpine:3.19 "{\"Env\":[$path],\"Cmd\":[\"/bin/sh\"]}" busybox

say "busybox:platforms, which is for this machine and for another architecture"
image busybox:native "{\"Env\":[$path],\"Cmd\":[\"sh\"]}" busybox
native_manifest=$manifest
foreign_options=(
  "${apt_options[@]}" -o "APT::Architecture=$foreign" -o "APT::Architectures=$foreign" -o "Dir::State::lists=$work/apt/foreign"
)
mkdir -p "$work/apt/foreign/partial" "$work/foreign"
apt-get "${foreign_options[@]}" update
(cd "$work/foreign" && apt-get "${foreign_options[@]}" download busybox-static)
cp -a "$busybox" "$work/busybox-$foreign"
dpkg-deb --fsys-tarfile "$work"/foreign/busybox-static_*.deb | tar -x -C "$work/foreign"
install -m 755 "$(find "$work/foreign" -type f -name busybox -perm -u+x)" "$work/busybox-$foreign/usr/bin/busybox"
layer "busybox-$foreign" "$work/busybox-$foreign"
architecture=$foreign image busybox:foreign "{\"Env\":[$path],\"Cmd\":[\"sh\"]}" "busybox-$foreign"
tag busybox:platforms "$(document application/vnd.oci.image.index.v1+json "{\"schemaVersion\":2,\"mediaType\":\"$(
  )application/vnd.oci.image.index.v1+json\",\"manifests\":[$(for_platform "$native" "$native_manifest"),$(
  for_platform "$foreign" "$manifest")]}")"

say "the C library and what more than one of the others uses"
: >"$work/common"
common=$(closure libc6 libc-bin libstdc++6 zlib1g libssl3 libcrypt1 libexpat1 media-types)
unpack "$work/libc" $common
mkdir -p "$work/libc/etc/ssl/certs"
[[ ! -e $ca_bundle ]] || cp "$ca_bundle" "$work/libc$ca_bundle"
layer libc "$work/libc"
tr ' ' '\n' <<<"$common" >"$work/common"

say "node:18-alpine"
unpack "$work/node" $(closure nodejs) $(grep -v '^#' "$recipe/npm.packages")
layer node "$work/node"
image node:18-alpine "{\"Env\":[$path,$trust,\"NODE_VERSION=18\"],\"Cmd\":[\"node\"]}" busybox libc node

say "python:3.9-slim"
unpack "$work/python" $(closure python3 python3-pip)
# An image of Python is there to be installed into, so it does not carry the mark which forbids that.
rm -f "$work"/python/usr/lib/python3*/EXTERNALLY-MANAGED
ln -s python3 "$work/python/usr/bin/python"
layer python "$work/python"
image python:3.9-slim "{\"Env\":[$path,$trust,\"LANG=C.UTF-8\"],\"Cmd\":[\"python3\"]}" busybox libc python

say "nginx:1.23-alpine"
unpack "$work/nginx" $(closure nginx)
rm -rf "$work"/nginx/{etc/nginx/{sites-*,modules-*,nginx.conf},lib/systemd,etc/{init.d,logrotate.d,ufw},usr/share/nginx/html}
mkdir -p "$work"/nginx/{etc/nginx/conf.d,usr/share/nginx/html,var/log/nginx,var/lib/nginx,docker-entrypoint.d}
cp "$recipe/nginx.conf" "$work/nginx/etc/nginx/"
cp "$recipe/default.conf" "$work/nginx/etc/nginx/conf.d/"
echo '<h1>Welcome to nginx</h1>' >"$work/nginx/usr/share/nginx/html/index.html"
layer nginx "$work/nginx"
image nginx:1.23-alpine "{\"Env\":[$path],\"Cmd\":[\"nginx\",\"-g\",\"daemon off;\"],\"ExposedPorts\":{\"80/tcp\":{}},\"StopSignal\":\"SIGQUIT\"}" \
  busybox libc nginx

say "gcc:12"
unpack "$work/gcc" $(closure gcc make libc6-dev)
rm -f "$work"/gcc/usr/lib/*-linux-gnu*/lib{asan,tsan,ubsan,lsan}*.a "$work"/gcc/usr/lib/gcc/*/*/{lto1,lib*san*.a}
ln -s gcc "$work/gcc/usr/bin/cc"
layer gcc "$work/gcc"
image gcc:12 "{\"Env\":[$path],\"Cmd\":[\"sh\"]}" busybox libc gcc

say "openssh-client:9"
unpack "$work/ssh" $(closure openssh-client)
layer ssh "$work/ssh"
image openssh-client:9 "{\"Env\":[$path],\"Cmd\":[\"sh\"]}" busybox libc ssh

say "debian:bookworm-slim"
wait "$debian" || { cat "$work/mmdebstrap.log" >&2; exit 3; }
layer_of_tar debian "$work/debian.tar"
image "debian:$suite-slim" "{\"Env\":[$path],\"Cmd\":[\"bash\"]}" debian

printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' \
  "$(joined "${manifests[@]}")" >"$layout/index.json"

# -- registry -----------------------------------------------------------------------------------------------------------

say "filling the registry"
mkdir "$work/storage"
# The registry ends with this process, whatever ends it.
source "$here/registry.sh"
registry_start "$work/storage" writable
for name in "${tags[@]}"; do
  skopeo copy --quiet --all --dest-tls-verify=false "oci:$layout:$name" "docker://$registry_address/library/$name"
done
registry_stop
chmod -R a+rX "$work/storage"
mv "$work/storage" "$result"
say "made in ${SECONDS} s: $(du -sh "$result" | cut -f1)"
echo "$result"
