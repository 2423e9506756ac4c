{
  description = "GitOps for NixOS hosts from Gitea and Forgejo";

  # Rust 1.95 or later. The lock file is yours to make: see docs/nixos.md.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      each = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      commit = self.rev or self.dirtyRev or "unknown";
      packages = each (system: {
        default = nixpkgs.legacyPackages.${system}.callPackage ./packaging/nixos/package.nix {
          inherit commit;
        };
      });
    in
    {
      inherit packages;

      overlays.default = final: _previous: {
        reconcile = final.callPackage ./packaging/nixos/package.nix { inherit commit; };
      };

      nixosModules = {
        # For the controller.
        default =
          { lib, pkgs, ... }:
          {
            imports = [ ./packaging/nixos/module.nix ];
            services.reconcile.package =
              lib.mkDefault
                self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          };
        # For each host.
        host = ./packaging/nixos/host.nix;
      };

      checks = each (system: {
        package = self.packages.${system}.default;
        vm = nixpkgs.legacyPackages.${system}.testers.runNixOSTest {
          imports = [ ./packaging/nixos/vm-test.nix ];
          _module.args = { inherit self nixpkgs; };
        };
      });

      formatter = each (system: nixpkgs.legacyPackages.${system}.nixfmt);
    };
}
