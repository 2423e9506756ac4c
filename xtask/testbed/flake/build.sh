# Builds a toplevel; toplevel.nix says what the variables are.
eval "$build"
mkdir -p $out/bin $out/etc/systemd/system $out/testbed
ln -s $kernel/bzImage $out/kernel
ln -s $kernel $out/kernel-modules
ln -s $initrd/initrd $out/initrd
ln -s $systemPath $out/sw
printf %s "$kernelParams" > $out/kernel-params
printf %s "$version" > $out/nixos-version
printf %s "$platform" > $out/system
printf %s "$initInterface" > $out/init-interface-version
printf %s "$inhibitors" > $out/switch-inhibitors
cp $behaviour $out/testbed/behaviour
printf %s "$version" > $out/testbed/version
sed "s|@version@|$version|g" $marker > $out/etc/systemd/system/testbed-marker.service
# A service beside it, that a system may have: it ends badly at once and again and again, or once, three seconds later.
app() {
  printf '[Unit]\nDescription=Service of %s\n[Service]\nExecStart=%s\n%s\n' "$version" "$2" "$3" \
    > $out/etc/systemd/system/testbed-app-$1.service
}
app crashes '/bin/sh -c "exit 1"' "$(printf 'Restart=always\nRestartSec=10')"
app dies '/bin/sh -c "/usr/bin/sleep 3; exit 1"' Restart=no
for script in bin/switch-to-configuration:$switchToConfiguration activate:$activate; do
  sed "s|@toplevel@|$out|g" ${script#*:} > $out/${script%%:*}
  chmod +x $out/${script%%:*}
done
: > $out/init
chmod +x $out/init
# Different for each version, or the store would share it between two toplevels.
[ $megabytes = 0 ] || yes "$version" | head -c ${megabytes}M > $out/testbed/ballast
