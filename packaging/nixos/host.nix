# A host: lets the controller's key log in, from where the controller is, and run what a deployment runs.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.reconcile-host;
  # No terminal, no forwarding of ports, agents or displays: a deployment needs none.
  options = lib.concatStringsSep "," (
    [ "restrict" ] ++ lib.optional (cfg.from != [ ]) ''from="${lib.concatStringsSep "," cfg.from}"''
  );
  # Or a pattern of addresses, or a network.
  isAddress = entry: builtins.match "[!0-9a-fA-F.:*?/]+" entry != null;
  rules = [
    {
      users = [ cfg.user ];
      runAs = "root";
      commands =
        map
          (command: {
            inherit command;
            options = [ "NOPASSWD" ];
          })
          [
            # Looks at the host, switches it, and undoes that: each a script that it is given.
            "/bin/sh"
            # Takes what is copied.
            "/run/current-system/sw/bin/nix-daemon --stdio"
            # Keeps what was built here, with `build_on = "target"`.
            "/run/current-system/sw/bin/nix-store --realise *"
          ];
    }
  ];
in
{
  options.services.reconcile-host = {
    enable = lib.mkEnableOption "being deployed by reconcile";

    user = lib.mkOption {
      type = lib.types.str;
      default = "reconcile-deploy";
      description = ''
        Who the controller logs in as, with `sudo = true` in its destination. With `root` there is no other user, and
        `PermitRootLogin` of sshd has to allow it. Never `reconcile`, the controller's daemon: where that runs on a host
        which it deploys too, it would be given `sudo`.
      '';
    };

    keys = lib.mkOption {
      type = lib.types.listOf lib.types.singleLineStr;
      example = [ "ssh-ed25519 AAAA… reconcile" ];
      description = "The public keys of the controller.";
    };

    from = lib.mkOption {
      type = lib.types.listOf lib.types.singleLineStr;
      default = [ ];
      example = [ "192.0.2.10" ];
      description = ''
        The addresses that the controller logs in from, as in `from=` of {manpage}`sshd(8)`; from anywhere if empty.
        Over a reverse tunnel they are `127.0.0.1` and `::1`.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.keys != [ ];
        message = "services.reconcile-host.keys is empty: the controller could not log in.";
      }
      {
        assertion = cfg.user != "reconcile";
        message = ''
          services.reconcile-host.user is the user of the controller's daemon, which would be given sudo: name another
          one, such as reconcile-deploy.
        '';
      }
      {
        assertion = config.services.openssh.settings.UseDns == true || lib.all isAddress cfg.from;
        message = ''
          services.reconcile-host.from has a name in it, and sshd compares addresses alone unless
          services.openssh.settings.UseDns is on: the controller could not log in. For `localhost`, as over a reverse
          tunnel, write [ "127.0.0.1" "::1" ].
        '';
      }
    ];

    services.openssh.enable = true;
    users.users.${cfg.user} = lib.mkMerge [
      { openssh.authorizedKeys.keys = map (key: "${options} ${key}") cfg.keys; }
      (lib.mkIf (cfg.user != "root") {
        isSystemUser = true;
        group = cfg.user;
        # Commands over SSH are run by it.
        shell = pkgs.bashInteractive;
        description = "reconcile's controller";
      })
    ];
    users.groups = lib.mkIf (cfg.user != "root") { ${cfg.user} = { }; };

    # Whichever of the two is in use.
    security.sudo.extraRules = lib.mkIf (cfg.user != "root") rules;
    security.sudo-rs.extraRules = lib.mkIf (cfg.user != "root") rules;
  };
}
