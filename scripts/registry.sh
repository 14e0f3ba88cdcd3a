# Sourced: a registry (Debian's docker-registry) on a free port of the loopback interface.
#
#   registry_start STORAGE writable|readonly     sets registry_address (127.0.0.1:PORT) and registry_pid
#   registry_stop
#
# It ends with the shell that started it, whatever ends that. Read only, any number of them may serve one storage.

registry_start() {
  local read_only=false log deadline
  [[ $2 == readonly ]] && read_only=true
  registry_state=$(mktemp -d "${TMPDIR:-/tmp}/rbuild-registry.XXXXXX")
  log=$registry_state/log
  cat >"$registry_state/config.yml" <<EOF
version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: "$1"}
  maintenance: {readonly: {enabled: $read_only}, uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:0"}
EOF
  setpriv --pdeathsig KILL docker-registry serve "$registry_state/config.yml" >"$log" 2>&1 &
  registry_pid=$!
  deadline=$((SECONDS + 20))
  # Port 0 lets the kernel choose; the log says which it was.
  until registry_address=$(grep -o -m1 'listening on 127\.0\.0\.1:[0-9]*' "$log"); do
    kill -0 "$registry_pid" 2>/dev/null && ((SECONDS < deadline)) || { cat "$log" >&2; return 1; }
    sleep 0.05
  done
  registry_address=${registry_address#listening on }
}

registry_stop() {
  kill "$registry_pid" && wait "$registry_pid" || true
  rm -rf "$registry_state"
}
