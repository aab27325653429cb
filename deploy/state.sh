# Sourced by the scripts that start and stop the console: where its state is, and what runs.

MEDSTACK_STATE=${MEDSTACK_STATE:-$PWD/var}
case $MEDSTACK_STATE in /*) ;; *) MEDSTACK_STATE=$PWD/$MEDSTACK_STATE ;; esac
export MEDSTACK_STATE
export DJANGO_SETTINGS_MODULE=medstack.settings
RUN=$MEDSTACK_STATE/run

# Print the process that a pid file names, if it is alive and still the program that wrote it.
running() { # file, word of its command line
    local process
    process=$(cat "$RUN/$1" 2>/dev/null) && kill -0 "$process" 2>/dev/null || return 1
    command_line "$process" | grep -q -e "$2" || return 1
    echo "$process"
}

command_line() {
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline"
    else
        ps -p "$1" -o command= 2>/dev/null
    fi
}

# Ask a process to end and wait for it; whoever does not listen is killed.
end() { # process, seconds
    local tenths=$(($2 * 10))
    kill -TERM "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null; do
        tenths=$((tenths - 1))
        [ $tenths -gt 0 ] || { kill -KILL "$1" 2>/dev/null || true; break; }
        sleep 0.1
    done
}
