#!/usr/bin/env bash
# Builds on the kernel of another Debian suite, with systemd and control groups version 2, in a machine that QEMU emulates.
# By hand and as root, after scripts/setup.sh and `apt install qemu-system-x86`:
#
#   scripts/vm.sh [bookworm|bookworm-backports|trixie]
#
# RBUILD names the binary (the debug build). The disk is made once; from then on no network is needed. Takes some minutes,
# prints what each user could do, and ends with 1 if one could not.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-bookworm} base=${1:-bookworm}
base=${base%-backports}
disk=${RBUILD_TEST_CACHE:-/var/cache/rbuild-tests}/vm-$suite
work=$(mktemp -d /var/tmp/rbuild-vm.XXXXXX)
trap '[[ -z ${registry_pid:-} ]] || registry_stop; rm -rf "$work"' EXIT
if [[ ! -d $disk ]]; then
  packages=systemd-sysv,libpam-systemd,dbus-user-session,udev,uidmap,passt,linux-image-cloud-amd64/$suite
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  sources=$(printf "deb $mirror %s main\n" $(printf '%s\n' "$base" "$suite" | uniq))
  mmdebstrap --quiet --variant=minbase --include="$packages" "$base" "$work/root" - <<<"$sources"
  source scripts/registry.sh
  registry_start "$(scripts/bases.sh)" readonly
  skopeo copy --quiet --src-tls-verify=false "docker://$registry_address/library/busybox:latest" "oci:$work/root/bases:latest"
  printf '%s\n' '[Match]' Type=ether '[Network]' Address=10.0.2.15/24 Gateway=10.0.2.2 >"$work/root/etc/systemd/network/a.network"
  printf '%s\n' '[Unit]' After=systemd-user-sessions.service '[Service]' StandardOutput=tty TTYPath=/dev/ttyS0 \
    'ExecStart=/bin/bash -c "tar -xf /dev/vdb -C /srv; bash /srv/check; systemctl poweroff -ff"' '[Install]' \
    WantedBy=multi-user.target >"$work/root/etc/systemd/system/check.service"
  chroot "$work/root" sh -c 'useradd -m tester; systemctl -q enable check systemd-networkd; systemctl -q mask serial-getty@ttyS0'
  mkdir "$work/disk"
  mv "$work"/root/boot/vmlinuz-* "$work/disk/kernel" && mv "$work"/root/boot/initrd.img-* "$work/disk/initrd"
  mke2fs -q -t ext4 -d "$work/root" "$work/disk/root" 4G && mv "$work/disk" "$disk"
fi
cp "${RBUILD:-target/debug/rbuild}" "$work/rbuild"
cat >"$work/check" <<'END' # for each user: the name, a pattern that the notice of a build with limits or its failure has
exec 2>&1
check() { said=$("${@:3}" 2>&1); grep -q "$2" <<<"$said" && echo "ok $user: $1" || echo "FAIL $user: $1" "$said"; }
build() { printf '%b' "FROM busybox AS a\n$1\n" >Dockerfile && /srv/rbuild --progress plain --build-context \
  busybox=oci-layout:///bases:latest "${@:2}" .; }
if user=${1:-}; [[ -z $user ]]; then
  uname -r && modprobe tun && chmod 666 /dev/net/tun && loginctl enable-linger tester
  until [[ -S /run/user/1000/bus ]]; do sleep 1; done
  bash "$0" root 'ran out of memory: .* 64.0 MiB' && runuser -l tester -c "bash $0 user 'run without .--memory. and .--cpus.'"
  scope="XDG_RUNTIME_DIR=/run/user/1000 systemd-run -q --user --scope -p Delegate=yes"
  runuser -l tester -c "$scope bash $0 'user with groups' 'ran out of memory: .* 64.0 MiB'" && echo all done && exit
fi
cd "$(mktemp -d)" && export RBUILD_ROOT="/var/tmp/store of $user"
stages='RUN --mount=type=cache,target=/c echo made | tee /c/x /x\nFROM busybox\nCOPY --from=a /x /\nRUN rm -r /var; cat /x'
check doctor 'Builds work here' /srv/rbuild doctor
check stages ' made$' build "$stages" && check 'a second build' 'CACHED' build "$stages"
check '150 layers' ' 150$' build "$(printf 'COPY Dockerfile /d/%s\\n' {1..150})RUN ls /d | wc -l"
check network ' hello$' build 'RUN (echo; sleep 1) | nc -w 5 10.0.2.100 80'
check limits "$2" build 'RUN dd if=/dev/zero of=/dev/null bs=200M count=1' --memory 64m --cpus 0.5
END
tar -cf "$work/tar" -C "$work" rbuild check
# Some versions of QEMU emulate cmpxchg16b wrongly, which recent kernels use.
timeout 1800 qemu-system-x86_64 -accel tcg,thread=multi -cpu max,la57=off,cx16=off -smp 2 -m 2048 -display none -serial stdio \
  -no-reboot -kernel "$disk/kernel" -initrd "$disk/initrd" -append 'root=/dev/vda rw console=ttyS0 quiet loglevel=2' \
  -drive "file=$disk/root,if=virtio,format=raw,snapshot=on" -drive "file=$work/tar,if=virtio,format=raw,readonly=on" \
  -monitor none -nic user,model=virtio-net-pci,restrict=on,guestfwd=tcp:10.0.2.100:80-cmd:'echo hello' </dev/null | tee "$work/log"
grep -q '^all done' "$work/log" && ! grep '^FAIL' "$work/log"
