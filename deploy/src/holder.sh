# Who holds a lock; shared by observe.sh and supervisor.sh, and put in front of both.

# All paths begin with this, so that the scripts can be tried on a folder that stands for a host.
root=''
# The lock of switch-to-configuration (nixpkgs, switch-to-configuration-ng/src/main.rs).
switch_lock=$root/run/nixos/switch-to-configuration.lock

# say WORDS: one line as it is; echo(1) of some shells would read backslashes.
say() {
    printf '%s\n' "$*"
}

# holder FILE: prints "pid N (command line) in unit" for the process that has locked FILE with
# flock(2); prints nothing and fails if nobody has. It only reads /proc/locks (proc(5)): taking the
# lock to find out would make somebody else's switch fail at that moment.
holder() {
    numbers=$(stat -L -c '%d %i' "$1" 2>/dev/null) || return 1
    device=${numbers% *}
    # st_dev as the kernel's "major:minor", by glibc's gnu_dev_major(3) and gnu_dev_minor(3).
    place=$(printf '%02x:%02x:%s' \
        $((device >> 8 & 0xfff)) $((device & 0xff | device >> 12 & 0xfff00)) "${numbers#* }")
    while read -r _ kind _ _ pid locked _; do
        [ "$kind:$locked" = "FLOCK:$place" ] || continue
        command=$(tr '\000\n' '  ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c 1-200)
        unit=$(tail -n 1 "/proc/$pid/cgroup" 2>/dev/null)
        unit=${unit##*/}
        say "pid $pid (${command% }) in ${unit:-no unit}"
        return 0
    done </proc/locks
    return 1
}

