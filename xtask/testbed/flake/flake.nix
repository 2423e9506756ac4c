{
  description = "Hosts of the test bed: NixOS's shape without nixpkgs, built in 50 ms";

  # No inputs: nothing to lock, nothing to download.
  outputs =
    { self }:
    {
      nixosConfigurations = builtins.mapAttrs (name: _: {
        config.system.build.toplevel = import ./toplevel.nix {
          inherit name;
          folder = ./hosts + "/${name}";
        };
      }) (builtins.readDir ./hosts);
    };
}
