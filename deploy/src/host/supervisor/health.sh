# How the host is doing, as systemd sees it, and what of that the new system is to blame for.

# With less than this left on a file system, in MiB, a host fails in ways that nobody foresees.
FREE_MEBIBYTES=16

# failed_units: the units that are failed, and the services that ended badly and wait for their next start: systemd
# calls them `activating (auto-restart)` and never failed.
failed_units() {
    systemctl list-units --all --state=failed,auto-restart --plain --no-legend --no-pager \
        2>/dev/null 5>&- 6>&- 8>&- 9>&- | while read -r unit _ _ sub _; do
        case $sub in
        auto-restart*) [ "$(unit_property ExecMainStatus "$unit")" != 0 ] || continue ;;
        esac
        say "$unit"
    done
}

# unit_property NAME UNIT
unit_property() {
    systemctl show --property="$1" --value "$2" 2>/dev/null </dev/null 5>&- 6>&- 8>&- 9>&-
}

# restarts: how often systemd has started each service again by itself, one "UNIT TIMES" a line.
restarts() {
    systemctl show --property=Id --property=NRestarts '*.service' \
        2>/dev/null </dev/null 5>&- 6>&- 8>&- 9>&- | {
        times=0
        while read -r line; do
            case $line in
            Id=*) unit=${line#Id=} ;;
            NRestarts=*) times=${line#NRestarts=} ;;
            '')
                [ "$times" = 0 ] || say "$unit $times"
                times=0
                ;;
            esac
        done
        [ "$times" = 0 ] || say "$unit $times"
    }
}

# remember_health: what is amiss before anything is changed; nobody is to blame for that.
remember_health() {
    failed_units >"$dir/failed-before"
    restarts >"$dir/restarts-before"
    ailments >"$dir/ailing-before"
    : >"$dir/named"
}

# looping: the services that were started again by themselves since the switch. One that goes on counting from before has
# not been touched by the switch, and fails by itself.
looping() {
    [ -e "$dir/restarts" ] || return 0
    restarts | grep -vxFf "$dir/restarts" | while read -r unit times; do
        before=0
        while read -r other count; do
            [ "$other" != "$unit" ] || before=$count
        done <"$dir/restarts-before"
        if [ "$before" = 0 ] || [ "$times" -lt "$before" ]; then say "$unit"; fi
    done
}

# named_failed: the units that the last switch named as failed, but for those that run by now.
named_failed() {
    tail -c "+$((${said_after:-0} + 1))" "$dir/output" | sed -n \
        -e 's/^warning: the following units failed: //p' \
        -e 's/^Failed to start \([^ ]*\): .*/\1/p' -e 's/^Failed to restart \([^ ]*\): .*/\1/p' \
        -e 's/^Failed to reload \([^ ]*\): .*/!\1/p' | tr ',' ' ' | tr -s ' ' '\n' | while read -r unit; do
        case $unit in
        '') ;;
        # It runs, but not as it now should.
        !*) say "${unit#!}" ;;
        *) case $(unit_property ActiveState "$unit") in active | activating | reloading) ;; *) say "$unit" ;; esac ;;
        esac
    done
}

# matters UNIT: whether its failure is the new system's, and counts. Lines of $ignored_units are patterns as the shell's.
matters() {
    while read -r pattern; do
        # shellcheck disable=SC2254
        case $1 in $pattern) return 1 ;; esac
    done <<END
$ignored_units
END
    if grep -qxF "$1" "$dir/named"; then return 0; fi
    # A timer starts its unit when its time has come, switch or not.
    case $(unit_property TriggeredBy "$1") in
    *.timer*)
        note "excused $1: its timer started it"
        return 1
        ;;
    esac
}

# newly_failed: the units that fail now, did not before, and matter.
newly_failed() {
    { cat "$dir/named" && failed_units && looping; } | sort -u | grep -vxFf "$dir/failed-before" |
        while read -r unit; do
            if matters "$unit" >&2; then say "$unit"; fi
        done
}

# ailments: what no host does well with, one a line, by the names that a probe of it would have.
ailments() {
    # systemctl(1): the rescue or emergency target is active.
    [ "$(systemctl is-system-running 2>/dev/null)" != maintenance ] || say is-system-running
    # A host without one of them has the two others.
    stat -f -c '%n %a %S' "$root/" "$root/boot" "$root/nix" 2>/dev/null | while read -r place blocks size; do
        [ "$((blocks * size / 1048576))" -ge "$FREE_MEBIBYTES" ] || say "free-space:${place#"$root"}"
    done
}

# amiss REASON: what sends the host back, unless a degraded system is to be kept.
amiss() {
    if [ "$on_degraded" = keep ]; then
        degraded=yes
    else
        give_up "$*"
    fi
}

# is_well: nothing is amiss that the new system is to blame for.
is_well() {
    newly=$(newly_failed | tr '\n' ' ')
    if [ -n "$newly" ]; then amiss "degraded ${newly% }" || return 1; fi
    ailing=$(ailments | grep -vxFf "$dir/ailing-before" | head -n 1)
    if [ -n "$ailing" ]; then amiss "probe $ailing" || return 1; fi
}

# is_booting: whether the host has not come to the end of its boot.
is_booting() {
    case $(systemctl is-system-running 2>/dev/null) in
    initializing | starting) ;;
    *) return 1 ;;
    esac
}

# has_booted: waits for the end of the boot. A switch would replace jobs of it, and what fails in every boot would count
# as newly failed.
has_booted() {
    is_booting || return 0
    # systemctl(1): --wait returns when the boot has ended.
    step boot-end timeout "$activate_seconds" systemctl is-system-running --wait
    ! is_booting
}
