# The controller: the daemon with its settings, its secrets and a hardened unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.reconcile;
  toml = pkgs.formats.toml { };
  written = toml.generate "reconcile.toml" cfg.settings;
  # A mistake is found by the build, and not by a daemon that does not start after the switch. The files that it names
  # are on the machine only, so they are not looked at; what is built for another platform cannot run here.
  configFile =
    if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      pkgs.runCommand "reconcile.toml" { } ''
        ${lib.getExe cfg.package} --config ${written} check --config-only
        cp ${written} $out
      ''
    else
      written;
  port = address: lib.toInt (lib.last (lib.splitString ":" address));
in
{
  options.services.reconcile = {
    enable = lib.mkEnableOption "reconcile, which brings NixOS hosts to the commits of their branches";

    package = lib.mkPackageOption pkgs "reconcile" { };

    settings = lib.mkOption {
      description = ''
        What `/etc/reconcile/reconcile.toml` says; every key is in `reconcile.example.toml`. It is in the Nix store,
        which all can read: name the files of secrets, as {option}`services.reconcile.credentials` gives them.
      '';
      default = { };
      example = lib.literalExpression ''
        {
          webhook = {
            listen = "0.0.0.0:9080";
            secret_files = [ "/run/credentials/reconcile.service/webhook-secret" ];
          };
          ssh.config_file = "/etc/reconcile/ssh_config";
          repositories."infra-team/infra" = {
            url = "ssh://git@gitea.example:2222/infra-team/infra.git";
            ssh_key_file = "/run/credentials/reconcile.service/deploy-key";
            known_hosts_file = "/etc/reconcile/known_hosts";
          };
          hosts.cyt-pi.build_on = "target";
        }
      '';
      type = lib.types.submodule {
        freeformType = toml.type;
        options = {
          state_directory = lib.mkOption {
            type = lib.types.path;
            default = "/var/lib/reconcile";
            readOnly = true;
            description = "The state, the mirrors of the repositories and the GC roots; the unit's `StateDirectory=`.";
          };
          operator.listen = lib.mkOption {
            type = lib.types.str;
            default = "127.0.0.1:9090";
            description = "Where metrics and health are; `off` for nowhere.";
          };
        };
      };
    };

    credentials = lib.mkOption {
      # A path of Nix, as in ./key, would be copied into the store, which all can read: it has to be a string.
      type = lib.types.attrsOf lib.types.externalPath;
      default = { };
      example = {
        webhook-secret = "/run/secrets/reconcile/webhook-secret";
        deploy-key = "/run/secrets/reconcile/deploy-key";
        login-key = "/run/secrets/reconcile/login-key";
      };
      description = ''
        Files with secrets, which only root has to be able to read. The daemon finds each by its name in
        `/run/credentials/reconcile.service/` (`LoadCredential=` in {manpage}`systemd.exec(5)`).
        Another content counts from the next start of the unit.
      '';
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether the Git server may reach the port of `settings.webhook.listen`.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.openFirewall -> cfg.settings ? webhook.listen;
        message = "services.reconcile.openFirewall needs services.reconcile.settings.webhook.listen to know the port.";
      }
    ];

    environment = {
      systemPackages = [ cfg.package ];
      etc."reconcile/reconcile.toml".source = configFile;
    };

    users = {
      users.reconcile = {
        isSystemUser = true;
        group = "reconcile";
        home = "/var/lib/reconcile";
        description = "reconcile, GitOps for NixOS hosts";
      };
      groups.reconcile = { };
    };
    # The unit would make it at its first start; who works before that has to find whose it is.
    systemd.tmpfiles.rules = [ "d /var/lib/reconcile 0700 reconcile reconcile -" ];

    # packaging/systemd/reconcile.service, as other distributions have it; here only what is NixOS's own.
    systemd.packages = [ cfg.package ];
    systemd.services.reconcile = {
      wantedBy = [ "multi-user.target" ];
      path = [
        config.nix.package
        config.programs.ssh.package
        pkgs.gitMinimal
        pkgs.gnupg
      ];
      restartTriggers = [ configFile ];
      serviceConfig.LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") cfg.credentials;
    };

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [
      (port cfg.settings.webhook.listen)
    ];
  };
}
