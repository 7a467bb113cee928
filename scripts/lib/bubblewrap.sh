# Finding, installing and trying out bubblewrap. Sourced after common.sh, never run.
# shellcheck shell=bash

# Whether it can make the namespaces that a sandbox needs; prints what it says where it cannot.
bubblewrap_works() {
    bwrap --unshare-all --unshare-user --die-with-parent --ro-bind / / --proc /proc --dev /dev true 2>&1
}

# ensure_bubblewrap OTHERWISE: installed where need be, and able to isolate; exits 3 with one message otherwise.
ensure_bubblewrap() {
    local said
    if ! command -v bwrap >/dev/null 2>&1; then
        can_install || die 3 "bubblewrap is missing" "install it (apt-get install bubblewrap); $1"
        apt_install bubblewrap || die 3 "the package bubblewrap could not be installed" "see the lines above; $1"
    fi
    said=$(bubblewrap_works) || die 3 "bubblewrap cannot isolate here: $said" \
        "unprivileged user namespaces must be allowed; $1"
    say "bubblewrap $(bwrap --version | awk '{ print $2 }')"
}
