# Set-up shared by scripts/test and scripts/quickstart. Sourced, never run.
# Talk goes to stderr, so that what a script prints as data stays clean on stdout.
# shellcheck shell=bash

HYPERAGENT_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
VENV="$HYPERAGENT_ROOT/.venv"

say() { printf '%s\n' "$*" >&2; }

# die EXIT_CODE MESSAGE [HINT]: the same shape as an error of the hyperagent command.
die() {
    printf 'error: %s\n' "$2" >&2
    if [ $# -gt 2 ]; then printf '  hint: %s\n' "$3" >&2; fi
    exit "$1"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# The scripts install system packages only as root on a Debian-like system; everywhere else they say what is missing.
can_install() { is_root && command -v apt-get >/dev/null 2>&1; }

# apt_install PACKAGE...: quiet; the output is shown where it fails.
apt_install() {
    local log
    log=$(mktemp)
    say "installing $* (apt-get) ..."
    if { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } \
        >"$log" 2>&1 </dev/null; then
        rm -f -- "$log"
        return 0
    fi
    tail -n 15 "$log" >&2
    rm -f -- "$log"
    return 1
}

# Prints the first Python that is new enough.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

require_basics() {
    command -v git >/dev/null 2>&1 || die 3 "git is missing" "install it: apt-get install git"
    find_python >/dev/null || die 3 "Python 3.11 or newer is missing" \
        "install it: apt-get install python3 python3-venv, or set PYTHON=/path/to/python"
}

# Where the virtual environment stands and which Python it runs: it cannot be moved, nor change its Python.
venv_place() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.argv[1])' "$HYPERAGENT_ROOT"
}

create_venv() {
    local python=$1
    rm -rf -- "$VENV"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian cuts ensurepip out of python3 and ships it in python3-venv.
        can_install || die 3 "$python cannot make virtual environments (no ensurepip)" \
            "install it: apt-get install python3-venv (as root), then run this again"
        apt_install python3-venv || die 3 "python3-venv could not be installed" "see the lines above"
    fi
    "$python" -m venv "$VENV" || die 3 "$python -m venv $VENV failed" "see the lines above"
    venv_place "$python" >"$VENV/.place"
}

# ensure_venv [EXTRA]: the package and its locked dependencies in .venv; does nothing where they are up to date.
ensure_venv() {
    local extra=${1:-} python stamp content lock
    require_basics
    python=$(find_python)
    if [ "$(cat -- "$VENV/.place" 2>/dev/null)" != "$(venv_place "$python")" ]; then create_venv "$python"; fi
    stamp="$VENV/.installed${extra:+-$extra}"
    lock="$HYPERAGENT_ROOT/scripts/locks/${extra:-run}.txt"
    content=$(cat -- "$HYPERAGENT_ROOT/pyproject.toml" "$lock" | git hash-object --stdin)
    if [ "$(cat -- "$stamp" 2>/dev/null)" = "$content" ]; then return 0; fi
    say "installing hyperagent and its dependencies into .venv ..."
    local pip=("$VENV/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check)
    { "${pip[@]}" --require-hashes --requirement "$lock" &&
        "${pip[@]}" --no-deps --editable "$HYPERAGENT_ROOT"; } >&2 ||
        die 3 "pip could not install the package" "check the network or the package index, then run this again"
    printf '%s\n' "$content" >"$stamp"
}

# Real benchmark data beside the checkout, where it is; a setting of the user's own wins.
use_shared_data() {
    local data="$HYPERAGENT_ROOT/../shared/benchdata"
    if [ -z "${HYPERAGENT_BENCHMARK_DATA:-}" ] && [ -d "$data" ]; then
        HYPERAGENT_BENCHMARK_DATA=$(cd -- "$data" && pwd -P)
        export HYPERAGENT_BENCHMARK_DATA
    fi
}

hyperagent() { "$VENV/bin/hyperagent" "$@"; }

# pull_model NAME: does nothing where the weights are there; returns 1 where they cannot be got.
pull_model() {
    hyperagent model pull "$1" >&2
}
