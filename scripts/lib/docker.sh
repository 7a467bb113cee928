# Finding, installing and starting a Docker engine. Sourced after common.sh, never run.
# shellcheck shell=bash

DOCKER_WAIT=60 # seconds an engine gets to answer
DOCKER_RUN=/var/run

# Asks the engine itself, where the engine's own client library would ask: $DOCKER_HOST, else the default socket.
# Prints the version. A `docker` command on the PATH proves nothing: it may be a client without an engine.
docker_version() {
    "$(find_python)" - <<'PY' 2>/dev/null
import http.client, json, os, socket, sys, urllib.parse

host = urllib.parse.urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
if host.scheme == "unix":
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    connection.sock.connect(host.path)
elif host.scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY"):
    connection = http.client.HTTPConnection(host.hostname, host.port or 2375, timeout=5)
else:  # TLS and ssh: only the client knows how
    import subprocess
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    sys.exit(subprocess.run(command, timeout=20, stderr=subprocess.DEVNULL).returncode)
connection.request("GET", "/version")
reply = connection.getresponse()
if reply.status != 200:
    sys.exit(1)
print(json.loads(reply.read())["Version"])
PY
}

find_dockerd() {
    command -v dockerd 2>/dev/null && return 0
    local path
    for path in /usr/sbin/dockerd /usr/bin/dockerd /usr/local/bin/dockerd /usr/local/sbin/dockerd; do
        if [ -x "$path" ]; then
            printf '%s\n' "$path"
            return 0
        fi
    done
    return 1
}

# process_lives PID NAME: whether that process exists and is what the pid file says it is.
process_lives() { [ "$(cat -- "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

dockerd_runs() {
    local comm
    for comm in /proc/[0-9]*/comm; do
        if [ "$(cat -- "$comm" 2>/dev/null)" = dockerd ]; then return 0; fi
    done
    return 1
}

# A machine that was switched off leaves pid files behind; a reused pid then keeps the new engine from starting.
remove_stale_pid() {
    local file=$1 name=$2
    if [ -f "$file" ] && ! process_lives "$(cat -- "$file")" "$name"; then rm -f -- "$file"; fi
}

# wait_for_engine [PID]: until it answers; gives up after DOCKER_WAIT seconds, or once process PID is gone.
wait_for_engine() {
    local pid=${1:-} end=$((SECONDS + DOCKER_WAIT))
    while [ "$SECONDS" -lt "$end" ]; do
        if docker_version >/dev/null; then return 0; fi
        if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then return 1; fi
        sleep 0.5
    done
    return 1
}

# start_dockerd: tries the plain engine first, then without what the kernel or the disk may refuse.
# Our containers have no network, so an engine without one serves as well.
start_dockerd() {
    local dockerd log options pid
    dockerd=$(find_dockerd) || return 1
    log=$(mktemp "${TMPDIR:-/tmp}/dockerd.XXXXXX.log")
    for options in "" "--storage-driver=vfs" "--iptables=false --bridge=none" \
        "--storage-driver=vfs --iptables=false --bridge=none"; do
        remove_stale_pid "$DOCKER_RUN/docker.pid" dockerd
        remove_stale_pid "$DOCKER_RUN/docker/containerd/containerd.pid" containerd
        printf '== dockerd %s\n' "$options" >>"$log"
        # shellcheck disable=SC2086  # the options are words
        setsid nohup "$dockerd" $options >>"$log" 2>&1 </dev/null &
        pid=$!
        if wait_for_engine "$pid"; then
            say "docker engine started${options:+ with $options}, log in $log"
            return 0
        fi
        # An engine that hangs will not do better with other options, and two must never run.
        if kill -0 "$pid" 2>/dev/null; then
            kill "$pid"
            break
        fi
    done
    say "the last lines of $log:"
    tail -n 20 "$log" >&2
    return 1
}

install_docker() {
    local packages=(docker.io iptables ca-certificates)
    # Without its parser an AppArmor kernel refuses every container.
    if grep -qs Y /sys/module/apparmor/parameters/enabled; then packages+=(apparmor); fi
    if [ ! -e /sys/fs/cgroup/cgroup.controllers ] && [ ! -e /sys/fs/cgroup/memory ]; then packages+=(cgroupfs-mount); fi
    apt_install "${packages[@]}"
}

# ensure_docker: an engine that answers, installed and started where need be; exits 3 with one message otherwise.
ensure_docker() {
    local version
    if version=$(docker_version); then
        say "docker engine $version"
        return 0
    fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        die 3 "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST to use this machine's"
    fi
    if dockerd_runs; then
        say "a dockerd is running, waiting for it to answer ..."
        wait_for_engine || die 3 "dockerd runs but does not answer within $DOCKER_WAIT s" "look at its log, or restart it"
    else
        can_install || die 3 "no Docker engine answers, and only root on Debian or Ubuntu can have it installed from here" \
            "start Docker, or install it (https://docs.docker.com/engine/install/), then run this again"
        if ! find_dockerd >/dev/null; then
            install_docker || die 3 "the package docker.io could not be installed" "see the lines above"
        fi
        if [ -d /run/systemd/system ] && systemctl start docker 2>/dev/null; then
            wait_for_engine || die 3 "the docker service does not answer" "look at: journalctl -u docker"
        elif ! docker_version >/dev/null; then
            start_dockerd || die 3 "the Docker engine does not start on this machine" "see the lines above"
        fi
    fi
    say "docker engine $(docker_version)"
}
