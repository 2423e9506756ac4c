# What the modules make of their options, without nixpkgs: the few functions of `lib` that they use, and no module system.
{ folder }:
let
  lib = {
    inherit (builtins)
      all
      concatStringsSep
      ;
    last = list: builtins.elemAt list (builtins.length list - 1);
    literalExpression = text: text;
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
    getExe = package: "${package}/bin";
    mkEnableOption = _: { default = false; };
    mkIf = condition: content: if condition then content else { };
    mkMerge = list: { merged = list; };
    mkOption = option: option;
    mkPackageOption = _: name: _: { default = name; };
    optional = condition: item: if condition then [ item ] else [ ];
    splitString =
      separator: text: builtins.filter builtins.isString (builtins.split separator text);
    toInt = builtins.fromJSON;
    types = {
      attrsOf = type: { inherit type; };
      listOf = type: { inherit type; };
      submodule = module: { inherit module; };
      bool = "bool";
      externalPath = "externalPath";
      path = "path";
      singleLineStr = "singleLineStr";
      str = "str";
    };
  };
  pkgs = {
    bashInteractive = "/bash";
    formats.toml = _: {
      type = "toml";
      generate = name: _: name;
    };
    runCommand = name: _: script: { inherit name script; };
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform = "here";
    };
    gitMinimal = "/git";
    gnupg = "/gnupg";
  };

  # One module of services.NAME with these options set.
  one =
    file: name: options: other:
    oneOn { } file name options other;

  # The same on a host with these settings of sudo and these users.
  oneOn =
    {
      security ? { },
      users ? { },
    }:
    file: name: options: other:
    let
      module = import (folder + "/${file}") {
        inherit lib pkgs;
        config = {
          services = {
            openssh.settings.UseDns = false;
            ${name} = builtins.mapAttrs (_: option: option.default or null) module.options.services.${name} // options;
          }
          // other;
          nix.package = "/nix";
          programs.ssh.package = "/ssh";
          security = {
            sudo = {
              enable = true;
              execWheelOnly = false;
            };
            sudo-rs = {
              enable = false;
              execWheelOnly = false;
            };
          }
          // security;
          users.users = {
            reconcile-deploy = { };
            reconcile = { };
            root = { };
          }
          // users;
        };
      };
    in
    module.config;

  users = config: builtins.attrNames config.users.users;
  refusals =
    config:
    map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);

  controller = {
    enable = true;
    settings.webhook.listen = "0.0.0.0:9080";
    openFirewall = true;
    credentials.login-key = "/run/secrets/login-key";
  };
  host = {
    enable = true;
    keys = [ "ssh-ed25519 AAAA" ];
  };
  hostOn = on: options: oneOn on "host.nix" "reconcile-host" (host // options) { };
  hostUnder =
    settings: options:
    one "host.nix" "reconcile-host" (host // options) {
      openssh.settings = {
        UseDns = false;
      }
      // settings;
    };
  hostWith = options: one "host.nix" "reconcile-host" (host // options) { };
in
{
  users_of_controller = users (one "module.nix" "reconcile" controller { });
  checked_config = (one "module.nix" "reconcile" controller { }).environment.etc."reconcile/reconcile.toml".source.script;
  users_of_host = users (hostWith { });
  daemon_deploys = refusals (hostWith { user = "reconcile"; });

  no_sudo = refusals (hostOn { security.sudo.enable = false; } { });
  no_sudo_for_root = refusals (hostOn { security.sudo.enable = false; } { user = "root"; });
  only_wheel = refusals (hostOn { security.sudo = { enable = true; execWheelOnly = true; }; } { });
  only_wheel_of_the_other = refusals (hostOn { security.sudo = { enable = true; execWheelOnly = true; }; users.reconcile-deploy.extraGroups = [ "wheel" ]; } { });
  other_users = refusals (hostUnder { AllowUsers = [ "alice" ]; } { });
  its_user = refusals (hostUnder { AllowUsers = [ "alice" "reconcile-deploy@192.0.2.10" ]; } { });
  other_groups = refusals (hostUnder { AllowGroups = [ "wheel" ]; } { });
  its_group = refusals (hostUnder { AllowGroups = [ "wheel" "reconcile-deploy" ]; } { });
  no_root = refusals (hostUnder { PermitRootLogin = "no"; } { user = "root"; });
  root_by_key = refusals (hostUnder { PermitRootLogin = "prohibit-password"; } { user = "root"; });
  no_root_for_the_other = refusals (hostUnder { PermitRootLogin = "no"; } { });
  sudo_runs = map (one: one.command) (builtins.head (hostWith { }).security.sudo.extraRules).commands;

  from_addresses = refusals (hostWith { from = [ "127.0.0.1" "::1" "192.0.2.0/24" ]; });
  from_localhost = refusals (hostWith { from = [ "127.0.0.1" "localhost" ]; });
  from_names_looked_up = refusals (
    one "host.nix" "reconcile-host" (host // { from = [ "localhost" ]; }) {
      openssh.settings.UseDns = true;
    }
  );
}
