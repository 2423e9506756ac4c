#!/bin/sh
# Runs while an image is built, as root: copies what lies in /nix to where the entrypoint takes it from.
#
#   make-seed.sh SEED [PROFILE]     PROFILE: a link into the store, below which bin/nix is
#
# SEED then holds `store`, `registration` (what Nix knows of it), `profile` if there is one, and `id`, which another
# content changes.
set -eu

seed=$1
mkdir -p "$seed/store"
nix-store --dump-db > "$seed/registration"
for path in /nix/store/*; do
    if [ -e "$path" ]; then
        cp -a "$path" "$seed/store/"
    fi
done
if [ $# -gt 1 ]; then
    readlink -f "$2" > "$seed/profile"
    "$(cat "$seed/profile")/bin/nix-store" --version
fi
cat "$seed/registration" "$seed/profile" 2> /dev/null | sha256sum | cut -c 1-32 > "$seed/id"
