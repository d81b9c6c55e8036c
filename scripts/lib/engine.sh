# A container engine for scripts/compose-demo: the one that runs, or else one of its own, which leaves nothing behind but
# its images below .tools/engine. Sourced, after common.sh.
# shellcheck shell=bash

# Its sockets: a short path that is root's alone, and the same each time, so that what a killed run left is found.
ENGINE=/run/credence-engine
ENGINE_DATA=$TOOLS/engine
ENGINE_LOG=$TOOLS/log/engine.log
ENGINE_LOCK=/run/lock/credence-engine
ENGINE_OWN=no
# What is used where nothing can be pulled.
OWN_BASE=credence-base:bookworm
OWN_PROMETHEUS=credence-prometheus:demo

have() { command -v "$1" >/dev/null; }

# Waits until a command succeeds, so many tenths of a second.
# usage: until_so TENTHS COMMAND...
until_so() {
  local left=$1
  shift
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 0.1
  done
}

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

find_engine() {
  have docker || die "no container engine: docker is not there (Debian: docker.io)"
  if engine_answers; then
    ok "container engine: the one that runs here"
    return
  fi
  [ "$(id -u)" = 0 ] ||
    die "no container engine can run: none answers, and only root can start one"
  local tool
  for tool in dockerd containerd runc iptables; do
    have "$tool" || die "no container engine can run: none answers, and $tool is not there (Debian: docker.io iptables)"
  done
  own_engine
}

# One at a time on a machine: they would have the same sockets.
own_engine() {
  mkdir -p "$(dirname "$ENGINE_LOCK")" "$(dirname "$ENGINE_LOG")"
  exec 8>"$ENGINE_LOCK"
  flock --nonblock 8 || { doing "another one is at work here; waiting for it" && flock --timeout 1800 8; } ||
    die "the other one did not end within 30 minutes"
  mkdir -p -m 0700 "$ENGINE" "$ENGINE_DATA"
  ENGINE_OWN=yes
  export DOCKER_HOST=unix://$ENGINE/docker.sock
  unset DOCKER_CONTEXT DOCKER_TLS_VERIFY
  # Left by --keep, or by a run that was killed.
  engine_answers || start_engine
  ok "container engine: one of our own ($(docker version --format '{{.Server.Version}}'))"
}

# It touches no packet filter of this machine: its networks need none, as nobody calls out of them, and the ports on
# loopback are served by its proxy. One rule apart: where forwarding is shut, as another engine leaves it, containers of one
# network are to reach each other all the same.
BRIDGED=(FORWARD -m physdev --physdev-is-bridged -m comment --comment credence-engine -j ACCEPT)

start_engine() {
  end_processes
  echo '{}' >"$ENGINE/daemon.json"
  [ -e /etc/docker/key.json ] || touch "$ENGINE/no-key-before"
  setsid dockerd --config-file "$ENGINE/daemon.json" --data-root "$ENGINE_DATA" --exec-root "$ENGINE/exec" \
    --pidfile "$ENGINE/docker.pid" --host "$DOCKER_HOST" --cgroup-parent /credence-engine \
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    >"$ENGINE_LOG" 2>&1 </dev/null 8>&- 9>&- &
  local dockerd=$!
  iptables -w -C "${BRIDGED[@]}" 2>/dev/null || iptables -w -I "${BRIDGED[@]}" ||
    doing "iptables cannot be used here; if forwarding is shut, containers do not reach each other"
  until_so 600 eval "engine_answers || ! kill -0 $dockerd 2>/dev/null"
  engine_answers && return
  tail -n 15 "$ENGINE_LOG" >&2
  die "no container engine can run: dockerd does not start here; its words are above"
}

# Our own processes only: those that name our folder. One that has ended and was not waited for names nothing.
engine_process() { [ -s "$1" ] && grep -qsaF "$ENGINE" "/proc/$(cat "$1")/cmdline"; }

end_processes() {
  local file
  for file in "$ENGINE/docker.pid" "$ENGINE/exec/containerd/containerd.pid"; do
    if engine_process "$file"; then
      kill "$(cat "$file")"
      until_so 600 eval "! engine_process '$file'" || kill -KILL "$(cat "$file")"
    fi
    # What a killed one left: another process may have its number by now.
    rm -f "$file"
  done
}

stop_engine() {
  [ "$ENGINE_OWN" = yes ] || return 0
  # Images of before: those that have a name are for the next time.
  docker image prune --force >/dev/null 2>&1 || true
  end_processes
  while iptables -w -D "${BRIDGED[@]}" 2>/dev/null; do :; done
  local place
  # The innermost first.
  awk -v a="$ENGINE/" -v b="$(readlink -f "$ENGINE_DATA")/" 'index($2 "/", a) == 1 || index($2 "/", b) == 1 { print $2 }' /proc/mounts | tac |
    while read -r place; do umount -l "$place"; done
  for place in /sys/fs/cgroup/credence-engine /sys/fs/cgroup/*/credence-engine; do
    [ ! -d "$place" ] || rmdir "$place" 2>/dev/null || true
  done
  # A key that dockerd makes for itself, and folders whose names it lets nobody choose.
  [ ! -e "$ENGINE/no-key-before" ] || rm -f /etc/docker/key.json
  rmdir /etc/docker /run/containerd/s /run/containerd /run/docker/plugins /run/docker 2>/dev/null || true
  rm -rf "$ENGINE"
}

# --- images ------------------------------------------------------------------------------

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# usage: pulled IMAGE   (whether it is there, or can be pulled)
pulled() {
  have_image "$1" && return
  [ "${PULL:-yes}" = yes ] || return 1
  timeout 300 docker pull --quiet "$1" >/dev/null 2>&1
}

# Debian as the machine's own apt has it, where no image can be pulled.
base_image() {
  export BASE_IMAGE=${BASE_IMAGE:-debian:bookworm-slim}
  pulled "$BASE_IMAGE" && { ok "base: $BASE_IMAGE" && return; }
  # Where the first cannot be had, the others are not asked for.
  PULL=no
  BASE_IMAGE=$OWN_BASE
  have_image "$OWN_BASE" || make_base
  ok "base: $OWN_BASE, made here, as no image can be pulled"
}

make_base() {
  [ "$(id -u)" = 0 ] || die "no image can be pulled, and only root can make one (debootstrap)"
  have debootstrap || die "no image can be pulled, and debootstrap is not there (Debian: debootstrap)"
  doing "making a base of Debian's packages (debootstrap, half a minute)"
  local root mirror
  mirror=$(debian_mirror)
  root=$(mktemp -d "$TOOLS/base.XXXXXX")
  if logged "$TOOLS/log/debootstrap.log" debootstrap --variant=minbase bookworm "$root" "$mirror" &&
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* &&
    tar -C "$root" --one-file-system -c . | docker import - "$OWN_BASE" >/dev/null; then
    rm -rf --one-file-system "$root"
  else
    umount -l "$root/proc" 2>/dev/null || true
    rm -rf --one-file-system "$root"
    die "no base could be made"
  fi
}

prometheus_image() {
  [ -z "${PROMETHEUS_IMAGE:-}" ] || return 0
  local default
  default=$(compose_default PROMETHEUS_IMAGE)
  pulled "$default" && { ok "Prometheus: $default" && return; }
  have prometheus && have promtool ||
    die "$default cannot be pulled, and there is no Prometheus here to make an image of (Debian: prometheus)"
  local stage=$TOOLS/compose/prometheus
  rm -rf "$stage" && mkdir -p "$stage"
  cp "$(command -v prometheus)" "$(command -v promtool)" "$ROOT/envoy/compose/prometheus/Dockerfile" "$stage/"
  DOCKER_BUILDKIT=0 logged "$TOOLS/log/prometheus-image.log" \
    docker build --network none --build-arg "BASE=$BASE_IMAGE" --tag "$OWN_PROMETHEUS" "$stage" ||
    die "no image of Prometheus could be made"
  rm -rf "$stage"
  export PROMETHEUS_IMAGE=$OWN_PROMETHEUS
  ok "Prometheus: made here of Debian's package"
}

# Grafana is no package of Debian's: where it cannot be pulled it is not run, and that is said.
grafana_image() {
  local image=${GRAFANA_IMAGE:-$(compose_default GRAFANA_IMAGE)}
  if pulled "$image"; then
    export CREDENCE_GRAFANA=yes
    ok "Grafana: $image"
  else
    export CREDENCE_GRAFANA=no
    printf '  %sNOT RUN%s Grafana: %s cannot be pulled; its part of the file is checked\n' "$YELLOW" "$PLAIN" "$image"
  fi
}

# The image that the compose file names where the environment names none.
compose_default() { sed -n "s/^ *image: \${$1:-\(.*\)}$/\1/p" "$ROOT/envoy/compose/docker-compose.yaml"; }
