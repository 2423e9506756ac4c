# The modules on two NixOS machines: what is pushed on the controller runs on the host. `nix flake check` runs it.
{
  self,
  nixpkgs,
  pkgs,
  ...
}:
let
  inherit (import "${nixpkgs}/nixos/tests/ssh-keys.nix" pkgs) snakeOilPrivateKey snakeOilPublicKey;

  # The host's own modules: as it runs at first, and as the repository has it.
  host = {
    imports = [ self.nixosModules.host ];
    documentation.enable = false;
    # Test machines have no switch-to-configuration unless they ask for it, and the first system is what one goes back to.
    system.switch.enable = true;
    services.reconcile-host = {
      enable = true;
      keys = [ snakeOilPublicKey ];
    };
    nix.settings = {
      substituters = [ ];
      experimental-features = [
        "nix-command"
        "flakes"
      ];
    };
  };

  # A NixOS that is built on the controller in the test: the nixpkgs of this flake, by its path.
  flake = pkgs.writeText "flake.nix" ''
    {
      inputs.nixpkgs.url = "path:${nixpkgs}";
      inputs.reconcile.url = "path:${self}";
      inputs.reconcile.inputs.nixpkgs.follows = "nixpkgs";
      outputs = { nixpkgs, reconcile, ... }: {
        nixosConfigurations.host = nixpkgs.lib.nixosSystem {
          system = "${pkgs.stdenv.hostPlatform.system}";
          modules = [
            "''${nixpkgs}/nixos/modules/virtualisation/qemu-vm.nix"
            "''${nixpkgs}/nixos/modules/testing/test-instrumentation.nix"
            reconcile.nixosModules.host
            (nixpkgs.lib.modules.importJSON ./network.json)
            {
              networking.hostName = "host";
              documentation.enable = false;
              boot.loader.grub = { enable = true; device = "/dev/vda"; forceInstall = true; };
              services.reconcile-host = { enable = true; keys = [ "${snakeOilPublicKey}" ]; };
              environment.etc.pushed.text = "by a commit";
            }
          ];
        };
      };
    }
  '';
in
{
  name = "reconcile";

  nodes = {
    controller =
      { lib, ... }:
      {
        imports = [ self.nixosModules.default ];
        virtualisation = {
          cores = 2;
          memorySize = 4096;
          additionalPaths = [
            nixpkgs
            self
          ];
        };
        # What the host's system is built from, so that nothing has to be fetched.
        system.includeBuildDependencies = true;
        system.switch.enable = true;
        system.extraDependencies = [ pkgs.grub2 ];
        nix.settings = {
          substituters = lib.mkForce [ ];
          hashed-mirrors = null;
          connect-timeout = 1;
          experimental-features = [
            "nix-command"
            "flakes"
          ];
        };
        environment.systemPackages = [ pkgs.git ];
        environment.etc."reconcile/ssh_config".text = ''
          Host host
            User reconcile-deploy
            IdentityFile /run/credentials/reconcile.service/login-key
            UserKnownHostsFile /etc/reconcile/hosts_known
        '';
        services.reconcile = {
          enable = true;
          openFirewall = true;
          credentials = {
            webhook-secret = "/root/webhook-secret";
            login-key = "/root/login-key";
          };
          settings = {
            webhook = {
              listen = "0.0.0.0:9080";
              secret_files = [ "/run/credentials/reconcile.service/webhook-secret" ];
            };
            ssh.config_file = "/etc/reconcile/ssh_config";
            repositories."infra-team/infra" = {
              url = "file:///srv/infra.git";
              poll_interval = "5s";
            };
            defaults.interval = "5s";
            hosts.host.destinations = [
              {
                ssh = "host";
                sudo = true;
              }
            ];
          };
        };
        # The test gives it its files first.
        systemd.services.reconcile.wantedBy = lib.mkForce [ ];
      };
    inherit host;
  };

  testScript =
    { nodes, ... }:
    let
      network = pkgs.writeText "network.json" (builtins.toJSON nodes.host.system.build.networkConfig);
    in
    ''
      start_all()
      host.wait_for_open_port(22)
      controller.wait_for_unit("multi-user.target")

      controller.succeed("head -c 32 /dev/urandom | base64 > /root/webhook-secret")
      controller.succeed("install -m 600 ${snakeOilPrivateKey} /root/login-key")
      controller.succeed("ssh-keyscan host > /etc/reconcile/hosts_known")
      controller.succeed(
          "mkdir /tmp/infra && cd /tmp/infra && git init -q -b main",
          "cp ${flake} /tmp/infra/flake.nix && cp ${network} /tmp/infra/network.json",
          "cd /tmp/infra && git add . && nix flake lock && git add .",
          "cd /tmp/infra && git -c user.name=a -c user.email=a@example.org commit -qm First",
          "git clone -q --bare /tmp/infra /srv/infra.git && chown -R reconcile: /srv/infra.git",
      )

      with subtest("the unit is ready when it says so"):
          controller.succeed("systemctl start reconcile.service")
          controller.succeed("curl --fail --silent http://127.0.0.1:9090/readyz")
          controller.wait_for_open_port(9080)

      with subtest("what is pushed runs on the host"):
          host.wait_until_succeeds("grep -qx 'by a commit' /etc/pushed", timeout=900)
          controller.wait_until_succeeds("reconcile status --json | grep -q in_sync")

      with subtest("the key opens no more than it has to"):
          ssh = "ssh -F /etc/reconcile/ssh_config -o IdentityFile=/root/login-key host"
          controller.succeed(f"{ssh} sudo -n /bin/sh -c true")
          controller.fail(f"{ssh} sudo -n id")
    '';
}
