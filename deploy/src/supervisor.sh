# Activates a NixOS system on this host, apart from the connection that asked for it.
# POSIX sh, with what every NixOS host has; holder.sh comes before it.
#
#   start ID ACTION NEW OBSERVED SECONDS   start the unit reconcile-ID, unless that was done before
#   run ID ACTION NEW OBSERVED             the unit's own work
#   ended ID                               the unit's ExecStopPost=, after any death
#   wait ID SECONDS                        wait for the verdict and print the report
#   clean ID                               remove what an ended deployment left
#
# The folder /run/reconcile/ID has
#   supervisor     this script
#   lock           locked for as long as `run` lives; waiters block on it
#   begun/         made once: an id is activated at most once
#   steps          "TIME begin STEP", "TIME end STEP CODE"
#   output         what the steps printed
#   failed-units   the units that were failed at the end, one a line
#   verdict        made once, last:
#                    done | degraded | refused REASON | failed STEP CODE | reboot-required
#                    | locked HOLDER | observed-changed RUNNING | interrupted RESULT

base=$root/run/reconcile
profile=$root/nix/var/nix/profiles/system
gcroots=$root/nix/var/nix/gcroots/reconcile
# How much of the output a report has at its end, in bytes.
OUTPUT_TAIL=16384
# How long the end of a killed unit may take, in seconds: it only writes a verdict.
STOP_SECONDS=60
# How long a start waits for another, in seconds; starting a unit takes a tenth of one.
START_SECONDS=20

now() {
    date +%s
}

# uptime: the seconds since the host booted, in $seconds; without a process of its own, unlike date(1).
uptime() {
    read -r seconds _ <"$root/proc/uptime" && seconds=${seconds%.*}
}

# note WORDS: one line for machines, and for people who read the unit's journal.
note() {
    uptime
    : "${booted:=$(($(now) - seconds))}"
    line="$((booted + seconds)) $*"
    say "$line" >>"$dir/steps"
    say "$line" || :
}

# step NAME COMMAND…: runs one step and keeps its exit code in $code. The locks are closed for it, or
# something that it leaves in the background would hold them for ever.
step() {
    name=$1
    shift
    note "begin $name"
    "$@" </dev/null >>"$dir/output" 2>&1 8>&- 9>&-
    code=$?
    note "end $name $code"
    return "$code"
}

# resolve LINK: where a chain of links ends.
resolve() {
    [ -e "$1" ] || return 1
    target=$(readlink -f "$1") && say "${target#"$root"}"
}

# finish VERDICT: writes the verdict, once. A hard link appears whole or not at all, and never
# replaces another.
finish() {
    systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null 8>&- 9>&- |
        head -n 50 | while read -r unit _; do say "$unit"; done >"$dir/failed-units"
    say "$*" >"$dir/verdict.$$"
    ln "$dir/verdict.$$" "$dir/verdict" 2>/dev/null && note "verdict $*"
    rm -f "$dir/verdict.$$"
}

# Whether the unit may still be at work: in doubt (systemd executes itself anew, and does not answer),
# yes.
is_running() {
    case $(systemctl show --property=ActiveState --value "reconcile-$id.service" 2>/dev/null) in
    inactive | failed) return 1 ;;
    *) return 0 ;;
    esac
}

# ------------------------------------------------------------------------------------- the activation

# Flushes a file system. Without it a system that was copied half a minute ago can be there after a
# power cut with empty files.
flush() {
    sync -f "$1" || sync
}

# Keeps both systems from the garbage collector until `clean`, and sweeps what ended
# deployments left.
keep_systems() {
    mkdir -p "$gcroots" || return 1
    for link in "$gcroots"/*; do
        [ -L "$link" ] || continue
        owner=${link##*/}
        owner=$base/${owner%-*}
        if [ ! -d "$owner" ] || [ -e "$owner/verdict" ]; then rm -f "$link"; fi
    done
    ln -sfn "$observed" "$gcroots/$id-old" && ln -sfn "$new" "$gcroots/$id-new"
}

# whole: the new system is on this host and not an empty shell.
whole() {
    [ -s "$root$new/bin/switch-to-configuration" ] && [ -x "$root$new/bin/switch-to-configuration" ]
}

# Everything that has to be true before anything is changed.
prepare() {
    exec 8>>"$base/lock"
    if ! flock -n 8; then
        finish "locked $(cat "$base/lock")"
        return 1
    fi
    echo "reconcile-$id.service" >"$base/lock"
    running=$(resolve "$root/run/current-system")
    if [ "$running" != "$observed" ]; then
        finish "observed-changed ${running:-nothing}"
        return 1
    fi
    if ! whole; then
        finish "refused $new is not on this host, or not whole"
        return 1
    fi
    # Older releases wait for this lock without a word, newer ones give up; look first.
    if [ -e "$switch_lock" ] && ! flock -n "$switch_lock" true; then
        finish "locked $(holder "$switch_lock" || echo 'an unknown process')"
        return 1
    fi
    if ! step keep keep_systems; then
        finish "failed keep $code"
        return 1
    fi
    if ! step sync flush "$root/nix/store"; then
        finish "failed sync $code"
        return 1
    fi
}

# activate MODE: runs switch-to-configuration and reads its exit code.
activate() {
    step "$1" "$root$new/bin/switch-to-configuration" "$1"
    case $code in
    0) ;;
    4) degraded=yes ;;
    100)
        finish reboot-required
        return 1
        ;;
    11)
        finish "locked $(holder "$switch_lock" || echo 'a switch that has ended by now')"
        return 1
        ;;
    1)
        # Refused before anything was done, or an error half-way: the link tells.
        if [ "$(resolve "$root/run/current-system")" = "$observed" ] && [ "$observed" != "$new" ]; then
            finish refused
        else
            finish "failed $1 1"
        fi
        return 1
        ;;
    *)
        finish "failed $1 $code"
        return 1
        ;;
    esac
}

# is_there: whether the activation moved the host to the new system. An empty script "succeeds".
is_there() {
    [ "$(resolve "$root/run/current-system")" = "$new" ]
}

activate_live() {
    activate test || return 1
    if ! step verify is_there; then
        finish "failed verify $code"
        return 1
    fi
}

# Makes the system the boot default. The profile is on disk before the boot entry that names it.
commit() {
    if ! step set-profile nix-env -p "$profile" --set "$new"; then
        finish "failed set-profile $code"
        return 1
    fi
    step sync-profile flush "$root/nix/var/nix/profiles"
    step boot "$root$new/bin/switch-to-configuration" boot
    if [ "$code" -ne 0 ]; then
        finish "failed boot $code"
        return 1
    fi
    if [ -d "$root/boot" ]; then step sync-boot flush "$root/boot"; fi
}

deploy() {
    prepare || return 0
    case $action in
    switch) activate_live && commit ;;
    test) activate_live ;;
    boot) commit ;;
    dry-activate) activate dry-activate ;;
    *) finish "refused unknown action $action" ;;
    esac || return 0
    if [ "$degraded" = yes ]; then
        finish degraded
    else
        finish 'done'
    fi
}

# Always exits 0 once it has begun: a failed unit of ours would make the host degraded.
run() {
    action=$2 new=$3 observed=$4 degraded=no
    exec 9>>"$dir/lock"
    flock 9
    mkdir "$dir/begun" 2>/dev/null || return 0
    deploy
    return 0
}

# systemd sets SERVICE_RESULT (systemd.exec(5)): timeout, signal, oom-kill, success …
ended() {
    [ -e "$dir/verdict" ] || finish "interrupted ${SERVICE_RESULT:-unknown}"
}

# -------------------------------------------------------------------------- for the one who asked for it

start() {
    action=$2 new=$3 observed=$4 seconds=$5
    # One start after the other: who comes second sees a unit that runs, or what it left.
    exec 7>>"$base/starting"
    flock -w "$START_SECONDS" 7
    if ! mkdir "$dir" 2>/dev/null && { [ -e "$dir/verdict" ] || [ -d "$dir/begun" ] || is_running; }; then
        rm -f "$0"
        echo already
        return 0
    fi
    mv -f "$0" "$dir/supervisor"
    # A transient unit inherits no HOME, and on NixOS a PATH without coreutils.
    path=$observed/sw/bin:$new/sw/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin
    path=$path:/run/wrappers/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    if systemd-run --quiet --no-ask-password --unit="reconcile-$id" --service-type=exec \
        --description="Deployment $id: $action $new" \
        --setenv="PATH=$path" --setenv=HOME=/root \
        --property=RuntimeMaxSec="$seconds" --property=KillSignal=SIGKILL \
        --property=TimeoutStopSec="$STOP_SECONDS" \
        --property=ExecStopPost="-/bin/sh $dir/supervisor ended $id" \
        /bin/sh "$dir/supervisor" run "$id" "$action" "$new" "$observed" 7>&-; then
        echo new
    elif [ -d "$dir/begun" ] || is_running; then
        echo already
    else
        # Not more than we made: if another start was quicker, the rest is its.
        rm -f "$dir/supervisor"
        rmdir "$dir" 2>/dev/null
        echo not-started
        return 1
    fi
}

# Blocks in flock(1) while the supervisor lives. It sleeps only in two short moments: before a new
# unit has taken its lock, and while the unit of a killed one writes the verdict.
wait_for() {
    # The clock has whole seconds, so one more: late by a part of one is better than early.
    deadline=$(($(now) + $2 + 1))
    while [ -d "$dir" ] && [ ! -e "$dir/verdict" ]; do
        left=$((deadline - $(now)))
        [ "$left" -gt 0 ] || break
        [ ! -e "$dir/lock" ] || flock -s -w "$left" "$dir/lock" true
        [ ! -e "$dir/verdict" ] || break
        is_running || break
        sleep 0.1
    done
    report
}

report() {
    read -r boot <"$root/proc/sys/kernel/random/boot_id" && say "boot-id $boot"
    if [ -e "$dir/steps" ]; then
        while read -r line; do say "step $line"; done <"$dir/steps"
    fi
    if [ -e "$dir/verdict" ]; then
        while read -r unit; do say "failed-unit $unit"; done <"$dir/failed-units"
        say "verdict $(cat "$dir/verdict")"
    elif is_running; then
        echo 'verdict running'
    elif [ -e "$dir/verdict" ]; then
        # It ended between the two looks.
        report
        return
    elif [ -d "$dir/begun" ]; then
        echo 'verdict interrupted unknown'
    else
        echo 'verdict vanished'
    fi
    echo output
    if [ -e "$dir/output" ]; then tail -c "$OUTPUT_TAIL" "$dir/output"; fi
}

clean() {
    rm -f "$base/.$id".*
    # The verdict comes a moment before the unit's end.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        is_running || break
        if [ ! -e "$dir/verdict" ]; then
            echo running
            return 0
        fi
        sleep 0.2
    done
    systemctl reset-failed "reconcile-$id.service" 2>/dev/null
    rm -f "$gcroots/$id-old" "$gcroots/$id-new"
    rm -rf "$dir"
    rmdir "$gcroots" 2>/dev/null
    echo clean
}

main() {
    verb=${1:-none}
    shift
    id=${1:-}
    case $id in
    '' | -* | *[!a-z0-9-]*)
        echo "not a deployment id: $id" >&2
        return 2
        ;;
    esac
    dir=$base/$id
    case $verb in
    start) start "$@" ;;
    run) run "$@" ;;
    ended) ended "$@" ;;
    wait) wait_for "$@" ;;
    clean) clean "$@" ;;
    *)
        echo "unknown verb: $verb" >&2
        return 2
        ;;
    esac
}

main "$@" </dev/null
