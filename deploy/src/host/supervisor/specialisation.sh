# Which of a system runs: itself, or one of its specialisations (nixpkgs, specialisation.nix), which is a system of its
# own at NEW/specialisation/NAME. The plan names one and says whether it has to be there.

# choose_specialisation: from here on $new is what runs, and $boots what the profile gets, which is the new system. The
# link `.activated` tells observe.sh whose specialisation may run, where no profile names that system.
choose_specialisation() {
    boots=$new
    for link in "$root$boots"/specialisation/*; do
        if [ -e "$link" ]; then ln -sfn "$root$boots" "$base/.activated"; fi
    done
    [ -n "$specialisation" ] || return 0
    chosen=$new/specialisation/$specialisation
    if [ -x "$root$chosen/bin/switch-to-configuration" ]; then
        new=$(resolve "$root$chosen")
    elif [ "$specialisation_rule" = wanted ]; then
        finish "unswitchable the system has no specialisation $specialisation"
        return 1
    else
        note "no specialisation $specialisation"
        say "the system has no specialisation $specialisation: the system itself is activated" >>"$dir/output"
    fi
}
