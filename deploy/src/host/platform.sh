# What this host can run, as Nix names it; shared by observe.sh and the supervisor, and put in front of both.

# kernel_platform: the platform of the kernel that runs (uname(1); the names are those of nixpkgs,
# lib/systems/parse.nix).
kernel_platform() {
    machine=$(uname -m)
    case $machine in
    i?86) machine=i686 ;;
    armv8*) machine=armv7l ;;
    ppc64*) machine=powerpc${machine#ppc} ;;
    esac
    say "$machine-linux"
}

# built_for SYSTEM: the platform that a NixOS system was built to run on, by its file `system`; fails where
# it has none.
built_for() {
    # The file does not end with a line feed, so read(1) finds no end and gives the text all the same.
    platform=''
    [ -r "$root$1/system" ] && read -r platform <"$root$1/system"
    [ -n "$platform" ] && say "$platform"
}

# platforms: those that this host can run, one a line. What runs is one of them, whatever the kernel says
# of itself: a kernel of 64 bits can carry a system of 32.
platforms() {
    kernel_platform
    built_for /run/current-system
}

