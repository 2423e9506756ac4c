#!/bin/sh
# What a container does before it becomes `reconcile`: fills an empty or older /nix from the image, and writes nix.conf.
# docs/container.md says what can be set.
set -eu
umask 022

seed=${NIX_SEED:-/usr/lib/reconcile/seed}
conf=/etc/nix/nix.conf
words=/etc/nix/.trial
written="# Written at every start of the container: docs/container.md says how to set what stands here."
mark=/nix/.reconcile-seed

say() {
    printf 'entrypoint: %s\n' "$*" >&2
}

# Ends as `reconcile` does with a config that is wrong.
give_up() {
    say "$*"
    exit 2
}

# --- /nix ---

require_writable() {
    if ! { [ -d "$1" ] && [ -w "$1" ]; }; then
        give_up "user $(id -u) cannot write $1: let the volume belong to it (chown $(id -u):$(id -g), or fsGroup: $(id -g) in Kubernetes)"
    fi
}

# Store paths cannot be written, not even by who wants to remove them.
remove() {
    chmod -R u+w "$1" 2> /dev/null || :
    rm -rf "$1"
}

# Brings what the image has into /nix, unless it was brought before. Whatever instant ends it, the next start goes on:
# nothing has its name before it is whole and on disk, and the mark comes last.
fill() {
    mkdir -p /nix/store /nix/var/nix/profiles /nix/var/nix/builds
    id=$(cat "$seed/id")
    if [ "$(cat "$mark" 2> /dev/null || :)" = "$id" ]; then
        return
    fi
    say "filling /nix with what this image has ($id)"
    for path in /nix/store/.filling-*; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            remove "$path"
        fi
    done
    for path in "$seed"/store/*; do
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then
            continue
        fi
        name=${path##*/}
        # What is there may be the half of something that was killed; only the same counts.
        if ! diff -rq --no-dereference "$path" "/nix/store/$name" > /dev/null 2>&1; then
            cp -a "$path" "/nix/store/.filling-$name"
        fi
    done
    sync -f /nix/store
    for path in /nix/store/.filling-*; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            name=${path##*/.filling-}
            remove "/nix/store/$name"
            mv "$path" "/nix/store/$name"
        fi
    done
    profile=$(cat "$seed/profile" 2> /dev/null || :)
    PATH="${profile:+$profile/bin:}$PATH" nix-store --load-db < "$seed/registration"
    # Also keeps it from garbage collection.
    rm -f /nix/var/nix/profiles/image
    if [ -n "$profile" ]; then
        ln -s "$profile" /nix/var/nix/profiles/image
    fi
    printf '%s\n' "$id" > "$mark.new"
    sync -f /nix
    mv "$mark.new" "$mark"
}

# --- nix.conf ---

# A line of nix.conf where a value is given; `none` stands for an empty one.
line() {
    case $2 in
        '') ;;
        *"
"*) give_up "the value for $1 has more than one line; NIX_EXTRA_CONF may have" ;;
        none) printf '%s =\n' "$1" ;;
        *) printf '%s = %s\n' "$1" "$2" ;;
    esac
}

# A size with K, M, G or T behind it, in bytes: Nix has understood the letters only since 2.10.
bytes() {
    number=${2%[KMGT]}
    case $number in
        '' | *[!0-9]*) give_up "$1 is a size such as 5G, not $2" ;;
    esac
    case $2 in
        *K) number=$((number * 1024)) ;;
        *M) number=$((number * 1048576)) ;;
        *G) number=$((number * 1073741824)) ;;
        *T) number=$((number * 1099511627776)) ;;
    esac
}

# write_conf SANDBOX
write_conf() {
    {
        printf '%s\n' "$written"
        line experimental-features 'nix-command flakes'
        # One user, whose store it is: no daemon, and nobody else to build as.
        line build-users-group none
        line trusted-users root
        line sandbox "$1"
        # On the volume: /tmp may be small, or in memory.
        line build-dir /nix/var/nix/builds
        line cores "${NIX_CORES:-0}"
        line max-jobs "${NIX_MAX_JOBS:-auto}"
        bytes NIX_MIN_FREE "${NIX_MIN_FREE:-1G}"
        line min-free "$number"
        if [ -n "${NIX_MAX_FREE:-}" ]; then
            bytes NIX_MAX_FREE "$NIX_MAX_FREE"
            line max-free "$number"
        fi
        line substituters "${NIX_SUBSTITUTERS:-}"
        line trusted-public-keys "${NIX_TRUSTED_PUBLIC_KEYS:-}"
        printf '%s\n' "${NIX_EXTRA_CONF:-}"
    } > "$conf.new"
    mv "$conf.new" "$conf"
}

# try_build SANDBOX: whether something can be built so. Nix's words are in $words.
try_build() {
    trial=$(nix-instantiate --expr "derivation {
        name = \"sandbox-trial\";
        system = builtins.currentSystem;
        builder = \"/bin/sh\";
        args = [ \"-c\" \"echo > \$out\" ];
        at = \"$$ $(date +%s) $1\";
    }" 2> "$words") || return
    result=0
    built=$(nix-store --realise "$trial" --option sandbox "$1" --option sandbox-fallback false \
        --option substitute false --option sandbox-paths '/bin /usr /lib /lib64?' 2> "$words") || result=1
    # Nix leaves the lock of a build that failed.
    nix-store --delete ${built:+"$built"} "$trial" > /dev/null 2>&1 || :
    rm -f /nix/store/*-sandbox-trial.lock
    return $result
}

case ${NIX_SANDBOX:-auto} in
    auto | true | false | relaxed) ;;
    *) give_up "NIX_SANDBOX is auto, true, false or relaxed, not $NIX_SANDBOX" ;;
esac
if ! id -un > /dev/null 2>&1; then
    give_up "user $(id -u) has no name in /etc/passwd, and ssh refuses to run without one: run as user 1000, as the image does"
fi
require_writable /nix
ours=yes
if [ -e "$conf" ] && [ "$(head -n 1 "$conf")" != "$written" ]; then
    say "$conf is not ours, and stays as it is"
    ours=no
else
    require_writable /etc/nix
    sandbox=${NIX_SANDBOX:-auto}
    write_conf "${sandbox%auto}"
fi
(
    # Two containers may share the volume for a moment, as when one checks the config before the other starts.
    flock 9
    fill
) 9> /nix/.reconcile-seed.lock
if [ "$ours" = yes ] && [ "${NIX_SANDBOX:-auto}" = auto ]; then
    if try_build true; then
        write_conf true
    elif try_build false; then
        write_conf false
        say "this container cannot sandbox builds: sandbox = false, which is safe as long as all that is built here is trusted"
    else
        # A full disk, a damaged database: nothing that tells whether builds can be shut off.
        give_up "nothing can be built here, shut off or not: $(tail -n 5 "$words")"
    fi
    rm -f "$words"
fi

if [ $# -eq 0 ]; then
    set -- serve
fi
exec reconcile "$@"
