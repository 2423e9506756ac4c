//! Nobody is told a secret: not by a log, a list of processes, an answer, a metric or a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::flake::{Exit, Source, System};
use xtask::forge::{Hook, Repository};
use xtask::http::{Address, request};

use super::token_forge::{TokenForge, basic};
use super::watcher::{Needles, Watcher, found_in};
use crate::scene::{REPOSITORY, SOON, Scene, never_built};

/// A repository that only the token opens.
const PRIVATE: &str = "infra-team/private";

/// 32 hexadecimal digits that nobody has seen before.
fn random() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(id.trim().replace('-', ""))
}

/// The lines of a private key that are not its frame.
fn key_lines(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file)?;
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    Ok(lines.map(str::to_owned).collect())
}

/// Every file below a folder that holds a secret.
fn files_that_tell(folder: &Path, needles: &Needles, told: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files_that_tell(&path, needles, told)?;
        } else if let Ok(text) = fs::read(&path) {
            let found = found_in(&text, needles);
            if !found.is_empty() {
                told.push(format!("{found:?} in {}", path.display()));
            }
        }
    }
    Ok(())
}

/// What nobody is to be told.
struct Secrets {
    /// The webhook's.
    webhook: String,
    token: String,
    wrong_token: String,
}

impl Secrets {
    fn new() -> Result<Self> {
        Ok(Self {
            webhook: random()?,
            token: random()?,
            wrong_token: random()?,
        })
    }

    /// The login with a token, as HTTP's Basic has it.
    fn login(token: &str) -> Result<String> {
        basic("reconcile", token)
    }

    fn needles(&self, scene: &Scene) -> Result<Needles> {
        let login = |token| Ok::<_, anyhow::Error>(Self::login(token)?.replace("Basic ", ""));
        let mut needles: Needles = vec![
            ("the webhook's secret", self.webhook.clone()),
            ("the token", self.token.clone()),
            ("the login", login(&self.token)?),
            ("the wrong token", self.wrong_token.clone()),
            ("the wrong login", login(&self.wrong_token)?),
        ];
        for key in [scene.forge.deploy_key(), &scene.identity()] {
            needles.extend(key_lines(key)?.into_iter().map(|line| ("a key", line)));
        }
        Ok(needles)
    }
}

/// A second repository, which is reached by token.
struct ByToken {
    repository: Repository,
    forge: TokenForge,
    token_file: PathBuf,
}

impl ByToken {
    /// Has uConsole's systems come from there, and cyt-pi's from the scene's own repository, which is reached by key.
    fn prepare(scene: &mut Scene, secrets: &Secrets) -> Result<Self> {
        let repository = scene.forge.create(PRIVATE)?;
        repository.deploy("main", "First", &[("uConsole", System::new("1"))])?;
        let repositories = repository.bare().ancestors().nth(2).context("no folder")?;
        let forge = TokenForge::start(repositories, &Secrets::login(&secrets.token)?)?;
        let token_file = scene.daemon.directory().join("token");
        fs::write(&token_file, format!("{}\n", secrets.token))?;
        let config = &mut scene.daemon.config;
        *config.repository(PRIVATE) = format!(
            "url = \"{}\"\ntoken_file = \"{}\"",
            forge.url(PRIVATE),
            token_file.display()
        );
        *config.host("cyt-pi") += &format!("\nrepository = \"{REPOSITORY}\"");
        *config.host("uConsole") += &format!("\nrepository = \"{PRIVATE}\"");
        Ok(Self {
            repository,
            forge,
            token_file,
        })
    }
}

/// Where the daemon hears deliveries.
fn hook(scene: &Scene) -> String {
    format!("http://{}/hook", scene.daemon.config.webhook)
}

/// Gives both repositories' hooks the secret, and the scene's another one that has a wrong one.
fn share_secret(scene: &mut Scene, private: &Repository, secrets: &Secrets) -> Result<()> {
    let (hook, secret) = (hook(scene), &secrets.webhook);
    fs::write(&scene.daemon.config.secret_files[0], format!("{secret}\n"))?;
    private.add_hook(Hook::new(&hook, secret))?;
    scene.repository.edit(|forge| {
        forge.hooks[0].secret.clone_from(secret);
        // Somebody has put the secret where it does not belong.
        let authorization = Some(format!("Bearer {secret}"));
        let wrong = Hook::new(&hook, &secrets.wrong_token);
        forge.hooks.push(Hook {
            authorization,
            ..wrong
        });
    })
}

/// Pushes systems that are good and bad in every way, and waits until each host is done with its own.
fn push_in_every_way(scene: &Scene, private: &Repository) -> Result<()> {
    let (by_key, by_token) = (&scene.hosts[0], &scene.hosts[1]);
    for system in [
        never_built("told")?,
        System {
            source: Source::DoesNotEvaluate,
            ..never_built("told")?
        },
        System {
            source: Source::DoesNotBuild,
            ..never_built("told")?
        },
        System {
            exit: Exit::ActivationFails,
            ..never_built("told")?
        },
    ] {
        let fails = system.source != Source::Good || system.exit != Exit::Good;
        scene
            .repository
            .deploy("main", "Another", &[("cyt-pi", system.clone())])?;
        private.deploy("main", "Another", &[("uConsole", system)])?;
        for (host, repository) in [(by_key, &scene.repository), (by_token, private)] {
            let revision = repository.tip("main")?;
            scene.wait_for_status(&host.name, "the status of the host", |status| {
                status["desired_revision"] == revision
                    && (status["consecutive_failures"] != 0 || status["drift"] == "in_sync")
                    && (status["consecutive_failures"] != 0) == fails
            })?;
        }
    }
    // Each delivery to the hook with the wrong secret was refused, the others not.
    for delivery in scene.repository.deliveries()?.iter().skip(1) {
        let expected = if delivery.hook == 1 { 403 } else { 202 };
        assert_eq!(delivery.status, Some(expected), "{delivery:?}");
    }
    Ok(())
}

/// Has the daemon ask forges that refuse it.
fn be_refused(
    scene: &mut Scene,
    private: &ByToken,
    secrets: &Secrets,
    needles: &Needles,
) -> Result<()> {
    let wrong = &secrets.wrong_token;
    // A token that is refused by a server that repeats it, and one that is no token.
    for token in [wrong.clone(), format!("{wrong}\n{wrong}")] {
        fs::write(&private.token_file, token)?;
        let answer = scene
            .daemon
            .cli(&["--host", "uConsole", "--branch", "main"])?;
        assert!(!answer.status.success());
        tell_nothing(&[answer.stdout, answer.stderr], needles);
    }
    assert!(private.forge.asked_with(&Secrets::login(wrong)?) > 0);
    scene.forge.stop_ssh()?;
    let answer = scene
        .daemon
        .cli(&["--host", "cyt-pi", "--branch", "main"])?;
    assert_eq!(answer.status.code(), Some(1));
    tell_nothing(&[answer.stdout, answer.stderr], needles);
    Ok(())
}

/// Asks what anybody can ask.
fn ask_everything(scene: &Scene, secrets: &Secrets, needles: &Needles) -> Result<()> {
    for arguments in [
        &["status", "--json"][..],
        &["status"],
        &["history", "--json"],
        &["history"],
        &["plan", "--all", "--json"],
        &["check"],
    ] {
        let answer = scene.daemon.cli(arguments)?;
        tell_nothing(&[answer.stdout, answer.stderr], needles);
    }
    for page in ["/metrics", "/healthz", "/readyz", "/", "/hook", "/../token"] {
        tell_nothing(&[scene.daemon.get(page)?.body.into_bytes()], needles);
    }
    let headers = [
        ("Host", "hook"),
        ("Content-Type", "application/json"),
        ("Content-Length", "2"),
        ("X-Gitea-Event", "push"),
        ("X-Gitea-Signature", secrets.webhook.as_str()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answer = request(
        "POST",
        &Address::parse(&hook(scene))?,
        &headers,
        b"{}",
        SOON,
    )?;
    assert_eq!(answer.status, 403);
    tell_nothing(&[format!("{answer:?}").into_bytes()], needles);
    Ok(())
}

#[test]
fn no_secret_is_told_by_pushes_that_succeed_and_fail_in_every_way() -> Result<()> {
    let mut scene = Scene::prepare(&["cyt-pi", "uConsole"])?;
    let secrets = Secrets::new()?;
    let needles = secrets.needles(&scene)?;
    let private = ByToken::prepare(&mut scene, &secrets)?;
    share_secret(&mut scene, &private.repository, &secrets)?;
    // `notify` would tell of each line of the log that it itself makes longer.
    scene.daemon.config.log_level = "trace,notify=info,mio=info".to_owned();

    let watcher = Watcher::start(needles.clone());
    scene.daemon.start()?;
    push_in_every_way(&scene, &private.repository)?;
    assert!(private.forge.asked_with(&Secrets::login(&secrets.token)?) > 0);
    be_refused(&mut scene, &private, &secrets, &needles)?;
    ask_everything(&scene, &secrets, &needles)?;

    scene.daemon.stop()?;
    let (told, looks) = watcher.end()?;
    assert!(told.is_empty(), "{told:#?}");
    assert!(looks > 50, "only {looks} looks at the processes");
    let log = scene.daemon.log();
    assert!(log.contains("TRACE"), "not a word of details");
    let telling = log
        .lines()
        .filter(|line| !found_in(line.as_bytes(), &needles).is_empty());
    assert_eq!(telling.collect::<Vec<_>>(), Vec::<&str>::new());
    // Nix reads the token from a netrc(5) of its own, and nobody else does.
    let mut told = Vec::new();
    files_that_tell(&scene.daemon.config.state_directory, &needles, &mut told)?;
    let access = scene.daemon.config.state_directory.join("scratch/access");
    let netrc = access.join(PRIVATE).join("netrc");
    assert_eq!(told, [format!("[\"the token\"] in {}", netrc.display())]);
    assert_eq!(mode(&netrc)?, 0o600);
    Ok(())
}

fn mode(file: &Path) -> Result<u32> {
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

fn tell_nothing(texts: &[Vec<u8>], needles: &Needles) {
    for text in texts {
        let found = found_in(text, needles);
        assert!(
            found.is_empty(),
            "{found:?} in {}",
            String::from_utf8_lossy(text)
        );
    }
}

#[test]
fn the_state_and_its_socket_belong_to_their_user_alone() -> Result<()> {
    let mut scene = Scene::prepare(&["spare"])?;
    let state = scene.daemon.config.state_directory.clone();
    scene.daemon.start()?;
    assert_eq!(mode(&state)?, 0o700);
    assert_eq!(mode(&state.join("control.sock"))?, 0o600);
    scene.daemon.stop()?;
    // systemd makes a StateDirectory= that everybody may enter, unless it is told otherwise.
    fs::remove_dir_all(&state)?;
    fs::create_dir(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755))?;
    scene.daemon.start()?;
    let first = scene.repository.tip("main")?;
    scene.wait_for_convergence(scene.host(), &first)?;
    for entry in fs::read_dir(&state)? {
        let path = entry?.path();
        assert_eq!(mode(&path)? & 0o077, 0, "{}", path.display());
    }
    Ok(())
}
