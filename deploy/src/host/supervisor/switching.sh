# One run of switch-to-configuration, and what became of it. Its exit code alone says little: 11 is a lock that somebody
# holds, and a bus that stopped answering half-way (its `die` ends with the last errno); 1 is a refusal, and an abort
# half-way; 4 hides 2. What runs, the lists in /run/nixos and the output decide (nixpkgs,
# pkgs/by-name/sw/switch-to-configuration-ng/src/main.rs).

# How often a switch that breaks off is begun in all. It keeps lists of what is still to be started, so that the next
# run goes on where it stopped.
SWITCH_TRIES=3
# Before it is begun again, in seconds, doubled each time: what was in its way, a session that was ending, is gone then.
: "${SWITCH_PAUSE:=2}"
SWITCH_PAUSE_LONGEST=60
# How long the bus and logind may take to answer, in seconds; a healthy one takes milliseconds.
BUS_SECONDS=5
# How long units may take to start that a switch which broke off had stopped, in seconds.
START_STOPPED_SECONDS=60

# begin_switching: from now on, runs of a switch share the time that one activation may take.
begin_switching() {
    switch_deadline=$(($(now) + activate_seconds))
    tries=0 pause=$SWITCH_PAUSE
}

# has_time_to_switch: whether there is time for another run after a pause, in $left.
has_time_to_switch() {
    left=$((switch_deadline - $(now)))
    [ "$left" -gt "$pause" ]
}

# switch STEP SYSTEM ACTION: one run, ended when the time is over. Its exit code is in $code, what it was in $came_to.
switch() {
    tries=$((tries + 1))
    left=$((switch_deadline - $(now)))
    [ "$left" -gt 0 ] || left=1
    said_after=$(stat -c %s "$dir/output" 2>/dev/null)
    step "$1" timeout -s KILL "$left" "$root$2/bin/switch-to-configuration" "$3"
    judge
}

# said PATTERN: whether the last run printed a line with it.
said() {
    tail -c "+$((${said_after:-0} + 1))" "$dir/output" | grep -qE "$1"
}

# pause_switching: before the next run; each pause is longer than the one before.
pause_switching() {
    sleep "$pause"
    pause=$((pause * 2))
    [ "$pause" -le "$SWITCH_PAUSE_LONGEST" ] || pause=$SWITCH_PAUSE_LONGEST
}

# is_half_way: a switch broke off after it had begun to stop units.
is_half_way() {
    for list in start restart reload; do
        [ ! -s "$root/run/nixos/$list-list" ] || return 0
    done
    return 1
}

# is_untouched: the last run ended before it changed anything.
is_untouched() {
    [ "$(running)" = "$observed" ] && [ "$observed" != "$new" ] && ! is_half_way &&
        ! said '^(stopping the following units|activating the configuration)'
}

# judge: what the last run was, by its code and by what it left: ended, failed, timed-out, locked, reboot, inhibited,
# refused (these four changed nothing), or broken-off.
judge() {
    case $code in
    0 | 4)
        came_to=ended
        # A unit that failed too takes the place of the script's exit code.
        if said '^Failed to run activate script'; then came_to=failed code=2; fi
        return
        ;;
    2)
        came_to=failed
        return
        ;;
    esac
    came_to=broken-off
    if said '^Could not acquire lock'; then
        came_to=locked
    elif is_untouched; then
        case $code in
        100) came_to=reboot ;;
        11) came_to=locked ;;
        *) came_to=refused ;;
        esac
        if said "Pre-switch check 'switchInhibitors' failed|^switchInhibitors"; then came_to=inhibited; fi
    elif [ "$code" = 137 ] && [ "$(now)" -ge "$switch_deadline" ]; then
        came_to=timed-out
    fi
}

# answers COMMAND…: whether it succeeds at once.
answers() {
    timeout "$BUS_SECONDS" "$@" >/dev/null 2>&1 5>&- 6>&- 8>&- 9>&-
}

# wake: gets an answer again from what a switch asks: a bus that it has stopped, then logind, which is deaf on a new
# bus, and while it is deaf every login takes 25 s. systemctl needs neither: it has a socket of its own.
wake() {
    answers busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId ||
        step start-bus timeout "$START_STOPPED_SECONDS" systemctl start dbus.socket dbus.service
    answers loginctl list-users ||
        step restart-logind timeout "$START_STOPPED_SECONDS" systemctl restart systemd-logind.service
}

# start_stopped: starts what a switch that broke off had stopped, as far as it can be.
start_stopped() {
    [ ! -s "$root/run/nixos/start-list" ] || step start-stopped start_listed
}
start_listed() {
    timeout "$START_STOPPED_SECONDS" xargs systemctl start <"$root/run/nixos/start-list"
}
