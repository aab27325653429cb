#!/usr/bin/env bash
# Install the system packages that are missing, as root on Debian or Ubuntu; elsewhere name them.
# Usage: deploy/packages.sh run|test
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# package:program. A package counts as present when its program is: Debian's docker.io must not
# replace Docker's own packages. Without a program, the package itself is asked for.
RUN="docker.io:dockerd iptables:iptables iproute2:ip util-linux:nsenter restic:restic
    openssh-client:ssh socat:socat busybox-static: ca-certificates:"
TEST="postgresql:initdb docker-registry:docker-registry openssh-server:sshd chromium:chromium
    fonts-liberation: pebble:pebble"
SERVICES="docker.service docker.socket containerd.service docker-registry.service ssh.service
    ssh.socket postgresql.service"

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

present() { # package, program
    case $1 in
        postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has_program "$2" ;;
        *) if [ -n "$2" ]; then has_program "$2"; else has_package "$1"; fi ;;
    esac
}

has_program() { command -v "$1" >/dev/null; }

has_package() {
    if has_apt; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    else
        # Only Debian calls them so; elsewhere the program of the same name has to do.
        case $1 in busybox-static) has_program busybox ;; esac
    fi
}

missing() {
    local entry
    for entry in "$@"; do
        present "${entry%%:*}" "${entry#*:}" || echo "${entry%%:*}"
    done
    # The interpreter of an existing .venv was good enough to make it.
    if ! [ -x .venv/bin/python ] && ! deploy/python.sh >/dev/null; then
        python_packages
    fi
}

python_packages() {
    if ! has_program python3 || python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo python3-venv
    else
        # The distribution's own Python is too old (Ubuntu 22.04), but a newer one is packaged.
        echo python3.11-venv
    fi
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    echo "Installing system packages: $*"
    apt-get update -qq -o DPkg::Lock::Timeout=120
    local package wanted=() fresh=() unit
    for package in "$@"; do
        if [ -n "$(apt-cache show "$package" 2>/dev/null)" ]; then
            wanted+=("$package")
        else
            echo "This distribution has no package $package; what needs it will say so." >&2
        fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    for unit in $SERVICES; do
        [ -e "/lib/systemd/system/$unit" ] || fresh+=("$unit")
    done
    # Only the programs are wanted. A service that starts by itself would open ports on this
    # machine (SSH, a registry, a database) that nobody asked for.
    if ! [ -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    local output
    if ! output=$(apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
        -o Dpkg::Use-Pty=0 "${wanted[@]}" 2>&1); then
        echo "$output" >&2
        exit 1
    fi
    for unit in ${fresh[@]+"${fresh[@]}"}; do
        if [ -e "/lib/systemd/system/$unit" ] && has_program systemctl; then
            systemctl disable --quiet "$unit" 2>/dev/null || true
        fi
    done
}

case ${1:-} in
    run) packages=$(missing $RUN) ;;
    test) packages=$(missing $RUN $TEST) ;;
    *) echo "usage: deploy/packages.sh run|test" >&2 && exit 2 ;;
esac
packages=$(echo $packages)
if [ -z "$packages" ]; then
    exit 0
elif has_apt && [ "$(id -u)" = 0 ]; then
    install $packages
elif has_apt; then
    echo "Missing system packages: $packages"
    echo "Install them with: sudo apt-get install --no-install-recommends $packages"
else
    echo "Missing programs, by the names of their Debian packages: $packages"
fi
