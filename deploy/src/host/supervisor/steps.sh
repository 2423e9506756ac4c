# What every part of the supervisor stands on: its folder, its steps, its verdict. holder.sh and platform.sh come before it.
# The whole is POSIX sh, with what every NixOS host has: coreutils, grep, util-linux, systemd, Nix.
#
# The folder /run/reconcile/ID has
#   supervisor     this script, with the plan in front of it
#   lock           locked for as long as the unit works; waiters block on it
#   proving        locked until the host waits for its acknowledgement, or does not get so far
#   begun/         made once: an id is activated at most once
#   reserve        room on /run, for the verdict
#   systems        what is activated, what ran before and what is to boot, for whoever ends it
#   activating, committing   made before the first change to the running system, and to the boot default
#   awaiting, bell made when an acknowledgement is waited for, and what rings when it has come
#   decision       a link made once: `acknowledged`, `probe NAME` or `expired`, whoever came first
#   reason         why it cannot stay, as in `rolled-back`
#   steps          "TIME begin STEP", "TIME end STEP CODE"
#   output         what the steps printed
#   failed-before, failed-units   the units that were failed at first and at the end, one a line
#   restarts-before, restarts     how often services had been started again by themselves, at first and after the switch
#   ailing-before  what else was wrong at first, see `ailments`
#   named          the units that the switch named as failed
#   generations    the links of the profile before the commit
#   verdict        made once, last:
#                    done | degraded
#                    | refused WHY | failed STEP CODE | locked HOLDER | observed-changed RUNNING
#                    | wrong-platform OF_SYSTEM OF_HOST | no-space PLACE NEEDED FREE RESERVE
#                    | unswitchable WHY | reboot-required WHY | changed-meanwhile WHAT | interrupted RESULT
#                    | rolled-back REASON | rollback-failed STEP CODE REASON
#                  REASON: failed STEP CODE | timed-out STEP | degraded UNIT… | probe NAME
#                    | not-acknowledged | interrupted RESULT
#
# Beside these folders lies `unproven`: what ran before the systems in its other lines, none of which has proven itself.

base=$root/run/reconcile
# Where the folder of a deployment is that ended with a reboot, which empties /run.
lasting=$root/var/lib/reconcile-supervisor
profiles=$root/nix/var/nix/profiles
profile=$profiles/system
gcroots=$root/nix/var/nix/gcroots/reconcile
# How much of the output a report has at its end, in bytes.
OUTPUT_TAIL=16384
# What is kept free for the verdict, and for the way back, in case /run runs full meanwhile, in bytes.
RESERVE=1048576
# How long a start waits for another, in seconds; starting a unit takes a tenth of one.
START_SECONDS=20
# How long the end of a killed unit waits for another deployment to let go, in seconds.
END_SECONDS=60

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

# step NAME COMMAND…: runs one step and keeps its exit code in $code. What is locked or open is closed
# for it, or something that it leaves in the background would hold it for ever.
step() {
    name=$1
    shift
    note "begin $name"
    "$@" </dev/null >>"$dir/output" 2>&1 5>&- 6>&- 8>&- 9>&-
    code=$?
    note "end $name $code"
    return "$code"
}

# bounded COMMAND…: one commit of a boot entry, killed when its time is over.
bounded() {
    timeout -s KILL "$activate_seconds" "$@"
}

# resolve LINK: where a chain of links ends.
resolve() {
    [ -e "$1" ] || return 1
    target=$(readlink -f "$1") && say "${target#"$root"}"
}

# running, installed: the system that runs, and the one that the profile names.
running() {
    resolve "$root/run/current-system"
}
installed() {
    resolve "$profile"
}

# finish VERDICT: writes the verdict, once. A hard link appears whole or not at all, and never
# replaces another.
finish() {
    rm -f "$dir/reserve"
    failed_units >"$dir/failed-units"
    say "$*" >"$dir/verdict.$$"
    ln "$dir/verdict.$$" "$dir/verdict" 2>/dev/null && note "verdict $*"
    rm -f "$dir/verdict.$$"
}

# give_up REASON: the new system cannot stay. Nothing more is done here: this process ends, systemd
# kills whatever else is left in the unit, and `ended` goes back.
give_up() {
    rm -f "$dir/reserve"
    [ -s "$dir/reason" ] || say "$*" >"$dir/reason"
    return 1
}

# free_bytes PLACE: what is free on its file system.
free_bytes() {
    numbers=$(stat -f -c '%a %S' "$1") && say "$((${numbers% *} * ${numbers#* }))"
}

# is_running ID: whether the unit may still be at work: in doubt (systemd executes itself anew, and does
# not answer), yes.
is_running() {
    case $(systemctl show --property=ActiveState --value "reconcile-$1.service" 2>/dev/null) in
    inactive | failed) return 1 ;;
    *) return 0 ;;
    esac
}

# Flushes a file system. Without it a system that was copied half a minute ago can be there after a
# power cut with empty files.
flush() {
    sync -f "$1" || sync
}

