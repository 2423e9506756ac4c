# A toplevel as nixpkgs' nixos/modules/system/activation/top-level.nix lays it out: `kernel`, `initrd`,
# `kernel-modules` and `sw` are links to store paths of their own, so that two toplevels with one kernel link to one file.
{ name, folder }:
let
  host = import folder;
  # Where the host's folder has a busybox of the platform, that does all the work: nothing of the machine that builds.
  tools = folder + "/tools";
  busybox = "${builtins.path { name = "tools"; path = tools; }}/busybox";
  own = {
    builder = "/bin/sh";
    arguments = [ ];
    begin = "";
  };
  carried = {
    builder = busybox;
    arguments = [ "sh" ];
    begin = ''
      $builder mkdir tools
      $builder --install -s tools
      PATH=$PWD/tools
    '';
  };
  by = if builtins.pathExists tools then carried else own;
  part =
    name: script: attributes:
    derivation (
      {
        inherit name;
        inherit (host) system;
        inherit (by) builder;
        PATH = "/usr/bin:/bin";
        args = by.arguments ++ [
          "-euc"
          (by.begin + script)
        ];
      }
      // attributes
    );
  kernel = part "linux-${host.kernel}" ''
    mkdir -p $out/lib/modules
    echo "$version" > $out/bzImage
    echo "$version" > $out/lib/modules/version
  '' { version = host.kernel; };
  initrd = part "initrd-linux-${host.kernel}" ''
    mkdir -p $out
    echo "$version" > $out/initrd
  '' { version = host.kernel; };
  # What a NixOS has on its PATH before anybody adds to it (nixos/modules/config/system-path.nix).
  systemPath = part "system-path" ''
    mkdir -p $out/bin
    for tool in $tools; do ln -s "/usr/bin/$tool" "$out/bin/$tool"; done
    ln -s /usr/sbin/ip $out/bin/ip
  '' { tools = builtins.replaceStrings [ "\n" ] [ " " ] (builtins.readFile ./system-path); };
in
part "nixos-system-${name}-${host.version}" (builtins.readFile ./build.sh) {
  inherit kernel initrd systemPath;
  inherit (host)
    version
    platform
    megabytes
    kernelParams
    inhibitors
    initInterface
    build
    ;
  behaviour = folder + "/behaviour";
  switchToConfiguration = ./switch-to-configuration;
  activate = ./activate;
  marker = ./testbed-marker.service;
}
