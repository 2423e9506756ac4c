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
          ];
    }
  ];
  isRoot = cfg.user == "root";
  inherit (config.security) sudo sudo-rs;
  inherit (config.services.openssh) settings;
  user = config.users.users.${cfg.user};
  groups = [ (user.group or cfg.user) ] ++ (user.extraGroups or [ ]);
  onlyWheel = (sudo.enable && sudo.execWheelOnly) || (sudo-rs.enable && sudo-rs.execWheelOnly);
  # A pattern is the operator's to judge; an entry of AllowUsers may name an address too (sshd_config(5)).
  admits =
    names: entry:
    builtins.match ".*[*?!].*" entry != null
    || builtins.elem (builtins.head (lib.splitString "@" entry)) names;
  allows = setting: names: setting == null || builtins.any (admits names) setting;
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
      {
        assertion = isRoot || sudo.enable || sudo-rs.enable;
        message = ''
          Neither security.sudo nor security.sudo-rs is enabled, and the controller becomes root by `sudo`: enable one of
          them, or set services.reconcile-host.user = "root".
        '';
      }
      {
        assertion = isRoot || !onlyWheel || builtins.elem "wheel" groups;
        message = ''
          With execWheelOnly nobody outside of the group wheel can execute sudo: set
          users.users.${cfg.user}.extraGroups = [ "wheel" ], or execWheelOnly = false.
        '';
      }
      {
        assertion = allows (settings.AllowUsers or null) [ cfg.user ];
        message = ''
          services.openssh.settings.AllowUsers does not name ${cfg.user}: sshd would refuse the controller. Add it there.
        '';
      }
      {
        assertion = allows (settings.AllowGroups or null) groups;
        message = ''
          services.openssh.settings.AllowGroups names no group of ${cfg.user}: sshd would refuse the controller. Add
          "${builtins.head groups}" there.
        '';
      }
      {
        assertion = !isRoot || (settings.PermitRootLogin or null) != "no";
        message = ''
          services.reconcile-host.user is root, and services.openssh.settings.PermitRootLogin is "no": set it to
          "prohibit-password", or name another user.
        '';
      }
    ];

    services.openssh.enable = true;
    users.users.${cfg.user} = lib.mkMerge [
      { openssh.authorizedKeys.keys = map (key: "${options} ${key}") cfg.keys; }
      (lib.mkIf (!isRoot) {
        isSystemUser = true;
        group = cfg.user;
        # Commands over SSH are run by it.
        shell = pkgs.bashInteractive;
        description = "reconcile's controller";
        # Its user manager would come and go with our logins, and a switch that meets it while it ends reports a failed
        # user activation (nixpkgs, switch-to-configuration-ng).
        linger = true;
      })
    ];
    users.groups = lib.mkIf (!isRoot) { ${cfg.user} = { }; };

    # Whichever of the two is in use.
    security.sudo.extraRules = lib.mkIf (!isRoot) rules;
    # Which nix-daemon is meant, whatever is in the user's profile. Where sudo's line in the journal for each look is too
    # much, an SD card say, `!log_allowed, !pam_session` may stand here too (sudoers(5)).
    security.sudo.extraConfig = lib.mkIf (!isRoot) "Defaults:${cfg.user} secure_path=/run/current-system/sw/bin";
    security.sudo-rs.extraRules = lib.mkIf (!isRoot) rules;
  };
}
