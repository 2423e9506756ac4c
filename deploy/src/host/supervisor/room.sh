# Whether what a boot entry for the new system needs fits on /boot, beside the $boot_reserve bytes that stay free there.

# boot_parts SYSTEM: what a boot entry for it needs on /boot, one path a line.
boot_parts() {
    for part in kernel initrd; do
        if [ -e "$root$1/$part" ]; then readlink -f "$root$1/$part"; fi
    done
    # extlinux has the device trees there too (nixpkgs, extlinux-conf-builder.sh).
    if [ -e "$root/boot/extlinux" ] && [ -e "$root$1/dtbs" ]; then readlink -f "$root$1/dtbs"; fi
}

# is_on_boot PART: whether a boot loader has copied it already, for some other generation: it names the copy by the
# path in the store (nixpkgs, systemd-boot-builder.py, extlinux-conf-builder.sh, install-grub.pl).
is_on_boot() {
    name=${1#"$root"}
    name=$(say "${name#/nix/store/}" | tr / -)
    for copy in "EFI/nixos/$name.efi" "nixos/$name" "kernels/$name"; do
        [ ! -e "$root/boot/$copy" ] || return 0
    done
    return 1
}

# new_boot_bytes: the size of the parts that neither what runs nor what is installed has, nor any other entry.
new_boot_bytes() {
    bytes=0
    known=$(boot_parts "$observed" && boot_parts /nix/var/nix/profiles/system)
    for part in $(boot_parts "$new"); do
        if say "$known" | grep -qxF "$part" || is_on_boot "$part"; then continue; fi
        size=$(du -s --apparent-size -B 1 "$part")
        bytes=$((bytes + ${size%%[!0-9]*}))
    done
    say "$bytes"
}

# clears_boot: systemd-boot drops entries, and their kernels, before it adds one: those of generations
# that are gone, or beyond its limit (nixpkgs, systemd-boot-builder.py). What is free now says nothing then.
clears_boot() {
    entries=$root/boot/loader/entries/nixos-generation-
    for link in "$profile"-*-link; do
        number=${link#"$profile"-}
        [ ! -L "$link" ] || [ -e "$entries${number%-link}.conf" ] || return 0
    done
    for entry in "$entries"*.conf; do
        number=${entry#"$entries"}
        [ ! -e "$entry" ] || [ -L "$profile-${number%%[!0-9]*}-link" ] || return 0
    done
    return 1
}

# has_boot_room: whether a boot entry for the new system fits on /boot, where that is a file system of its own.
has_boot_room() {
    [ "$check_boot" = yes ] || return 0
    case $action in switch | boot) ;; *) return 0 ;; esac
    boot=$(stat -c %d "$root/boot/." 2>/dev/null) || return 0
    if [ "$boot" = "$(stat -c %d "$root/.")" ]; then return 0; fi
    needed=$(new_boot_bytes)
    if [ "$needed" = 0 ] || { [ -d "$root/boot/loader/entries" ] && clears_boot; }; then return 0; fi
    free=$(free_bytes "$root/boot") || return 0
    [ "$((needed + boot_reserve))" -le "$free" ]
}
