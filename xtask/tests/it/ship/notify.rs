//! What the daemon tells the service manager that has started it, by sd_notify(3).

use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::claim::record_process;
use xtask::daemon::Daemon;
use xtask::forge::Forge;
use xtask::process::wait_for_end;
use xtask::wait::wait_until;

/// How long anything may take that takes a part of a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);

/// Systemd's watchdog, as short as a test wants it and as long as a busy machine needs it.
const WATCHDOG: Duration = Duration::from_secs(2);

/// A service manager's side: the socket that it listens on, and the daemon.
struct Manager {
    socket: UnixDatagram,
    child: Child,
}

impl Manager {
    /// Starts the daemon as `Type=notify` with `WatchdogSec=` would.
    fn start(daemon: &Daemon) -> Result<Self> {
        let path = daemon.directory().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(SOON))?;
        daemon.rewrite_config()?;
        let child = daemon
            .command(&["serve"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(daemon.directory().join("log"))?)
            .spawn()?;
        record_process(&daemon.directory(), child.id())?;
        Ok(Self { socket, child })
    }

    /// The next thing that it is told, one assignment a line.
    fn hear(&self) -> Result<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).context("nothing is said")?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Listens until it is told this line.
    fn hear_of(&self, line: &str) -> Result<String> {
        let deadline = Instant::now() + SOON;
        loop {
            let said = self.hear()?;
            if said.lines().any(|one| one == line) {
                return Ok(said);
            }
            ensure!(Instant::now() < deadline, "{line} is not said");
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            signal,
        )?)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that looks after nobody who is there.
fn lonely() -> Result<(Forge, Daemon)> {
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    let mut daemon = Daemon::prepare(&forge, &repository, &[])?;
    // Nothing is due for an hour after the first look.
    daemon.config.defaults = "branch = \"main\"\ninterval = \"1h\"".to_owned();
    *daemon.config.host("nobody") = "availability = \"intermittent\"".to_owned();
    Ok((forge, daemon))
}

#[test]
fn the_service_manager_hears_that_it_is_ready_when_all_listens_that_it_is_alive_and_that_it_stops()
-> Result<()> {
    let (_forge, daemon) = lonely()?;
    let mut manager = Manager::start(&daemon)?;

    let first = manager.hear()?;
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    assert!(
        first.contains("STATUS=looking after 1 host of 1 repository\n"),
        "{first}"
    );
    TcpStream::connect(daemon.config.webhook)?;
    UnixStream::connect(daemon.config.state_directory.join("control.sock"))?;
    let turned = |daemon: &Daemon| -> Result<f64> {
        let name = "reconcile_loop_last_turn_timestamp_seconds";
        daemon.metrics()?.value(name, &[]).context("no turn")
    };
    let before = turned(&daemon)?;

    for _ in 0..3 {
        let alive = manager.hear_of("WATCHDOG=1")?;
        assert!(!alive.contains("READY=1"), "{alive}");
    }
    let later = |now: &f64| *now > before;
    wait_until("a later turn", SOON, || turned(&daemon), later)?;

    manager.signal(Signal::SIGTERM)?;
    manager.hear_of("STOPPING=1")?;
    assert!(wait_for_end(&mut manager.child, SOON)?.success());
    Ok(())
}

#[test]
fn the_service_manager_hears_of_a_change_in_what_is_looked_after() -> Result<()> {
    let (_forge, mut daemon) = lonely()?;
    let manager = Manager::start(&daemon)?;
    manager.hear_of("READY=1")?;
    *daemon.config.host("nobody-either") = "availability = \"intermittent\"".to_owned();
    daemon.rewrite_config()?;
    let said = manager.hear_of("STATUS=looking after 2 hosts of 1 repository")?;
    assert!(!said.contains("READY=1"), "{said}");
    Ok(())
}

#[test]
fn a_daemon_that_cannot_listen_never_says_that_it_is_ready() -> Result<()> {
    let (_forge, daemon) = lonely()?;
    let _taken = std::net::TcpListener::bind(daemon.config.webhook)?;
    let mut manager = Manager::start(&daemon)?;
    assert!(!wait_for_end(&mut manager.child, SOON)?.success());
    manager.socket.set_nonblocking(true)?;
    assert!(manager.hear().is_err());
    Ok(())
}
