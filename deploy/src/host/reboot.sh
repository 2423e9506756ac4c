# Reboots this host, if it is still on the boot that is named: who has rebooted since is left alone, so that a
# command that comes late or twice does no harm. POSIX sh; holder.sh comes before it.

# systemd only takes the order; what it does about it is seen by who comes back.
PATIENCE=30

main() {
    read -r boot <"$root/proc/sys/kernel/random/boot_id"
    if [ "$boot" != "$1" ]; then
        say has-rebooted
    elif who=$(holder "$switch_lock"); then
        say "locked $who"
    elif said=$(timeout "$PATIENCE" systemctl reboot 2>&1); then
        say reboots
    else
        say "refused $(say "$said" | tr '\n' ' ')"
    fi
}

main "$@" </dev/null
