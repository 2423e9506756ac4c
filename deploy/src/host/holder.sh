# Who holds a lock; put in front of every script that has to know: observe.sh, reboot.sh, collect.sh, the supervisor's.

# All paths begin with this, so that the scripts can be tried on a folder that stands for a host.
root=''
# The lock of switch-to-configuration (nixpkgs, switch-to-configuration-ng/src/main.rs).
switch_lock=$root/run/nixos/switch-to-configuration.lock

# say WORDS: one line as it is; echo(1) of some shells would read backslashes.
say() {
    printf '%s\n' "$*"
}

# locker FILE: the process id that has locked FILE with flock(2). It only reads /proc/locks (proc(5)):
# taking the lock to find out would make somebody else's switch fail at that moment.
locker() {
    numbers=$(stat -L -c '%d %i' "$1" 2>/dev/null) || return 1
    device=${numbers% *}
    # st_dev as the kernel's "major:minor", by glibc's gnu_dev_major(3) and gnu_dev_minor(3).
    place=$(printf '%02x:%02x:%s' \
        $((device >> 8 & 0xfff)) $((device & 0xff | device >> 12 & 0xfff00)) "${numbers#* }")
    while read -r _ kind _ _ pid locked _; do
        [ "$kind:$locked" != "FLOCK:$place" ] || say "$pid"
    done </proc/locks | head -n 1
}

# opener FILE: the first process that has FILE open. A lock that flock(1) took for a script is told
# under the id of flock(1), which has ended, and in a container not at all.
opener() {
    [ -e "$1" ] || return 0
    found=$(find /proc/[0-9]*/fd -lname "$1" 2>/dev/null | head -n 1)
    found=${found#/proc/}
    say "${found%%/*}"
}

# holder FILE: prints "pid N (command line) in unit" for the process that holds the lock FILE; prints
# nothing and fails if nobody is seen to.
holder() {
    pid=$(locker "$1")
    if [ -z "$pid" ] || [ ! -d "/proc/$pid" ]; then pid=$(opener "$1"); fi
    [ -n "$pid" ] || return 1
    command=$(tr '\000\n' '  ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c 1-200)
    unit=$(tail -n 1 "/proc/$pid/cgroup" 2>/dev/null)
    unit=${unit##*/}
    say "pid $pid (${command% }) in ${unit:-no unit}"
}

