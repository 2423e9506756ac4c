{
  lib,
  stdenv,
  rustPlatform,
  pkg-config,
  openssl,
  installShellFiles,
  # What the metric reconcile_build_info shows.
  commit ? "unknown",
}:
let
  root = ../..;
in
rustPlatform.buildRustPackage {
  pname = "reconcile";
  version = (lib.importTOML (root + "/Cargo.toml")).workspace.package.version;

  # What the program is made of.
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/deploy")
      (root + "/desired-state")
      (root + "/reconciler")
      (root + "/webhook")
      (root + "/xtask")
      (root + "/packaging/systemd")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  cargoBuildFlags = [
    "--package=reconciler"
    "--bin=reconcile"
  ];
  env.RECONCILE_COMMIT = commit;
  # The tests boot hosts, as root: `cargo xtask test`.
  doCheck = false;

  nativeBuildInputs = [
    pkg-config
    installShellFiles
  ];
  buildInputs = [ openssl ];

  postInstall = ''
    install -D --mode=0644 packaging/systemd/reconcile.service --target-directory=$out/lib/systemd/system
    substituteInPlace $out/lib/systemd/system/reconcile.service --replace-fail /usr/bin/reconcile $out/bin/reconcile
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    installShellCompletion --cmd reconcile \
      --bash <($out/bin/reconcile completions bash) \
      --fish <($out/bin/reconcile completions fish) \
      --zsh <($out/bin/reconcile completions zsh)
    mkdir man-pages
    $out/bin/reconcile man-pages man-pages
    installManPage man-pages/*.1
  '';

  meta = {
    description = "Brings every NixOS host to the commit that its branch points at";
    license = with lib.licenses; [
      mit
      asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "reconcile";
  };
}
