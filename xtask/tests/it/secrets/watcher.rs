//! Looks at every process of this machine, and of the hosts in its namespaces, as `ps` would.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use xtask::wait::wait_until;

use crate::stage::SOON;

/// Between two looks: a short-lived process may slip through one, and not through the hundreds of a test.
const PAUSE: Duration = Duration::from_millis(15);

/// What must not be seen, with a name for each.
pub type Needles = Vec<(&'static str, String)>;

/// Which of them a text holds.
pub fn found_in(text: &[u8], needles: &Needles) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(text);
    let found = needles.iter().filter(|(_, needle)| text.contains(needle));
    found.map(|(name, _)| *name).collect()
}

/// Watches command lines and environments until it is asked what it saw.
pub struct Watcher {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(BTreeSet<String>, usize)>,
}

impl Watcher {
    pub fn start(needles: Needles) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen_over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let (mut told, mut looks) = (BTreeSet::new(), 0);
            while !seen_over.load(Ordering::SeqCst) {
                look(&needles, &mut told);
                looks += 1;
                std::thread::sleep(PAUSE);
            }
            (told, looks)
        });
        Self { is_over, thread }
    }

    /// What it saw of secrets, and how often it looked.
    pub fn end(self) -> Result<(BTreeSet<String>, usize)> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread
            .join()
            .map_err(|_| anyhow!("the watcher panicked"))
    }
}

fn look(needles: &Needles, told: &mut BTreeSet<String>) {
    let Ok(processes) = fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        for file in ["cmdline", "environ"] {
            // Processes come and go while they are listed.
            let text = fs::read(process.path().join(file)).unwrap_or_default();
            let found = found_in(&text, needles);
            if !found.is_empty() {
                let words = String::from_utf8_lossy(&text).replace('\0', " ");
                told.insert(format!("{found:?} in the {file} of {words}"));
            }
        }
    }
}

#[test]
fn a_secret_on_a_command_line_or_in_an_environment_would_be_seen() -> Result<()> {
    let needles = vec![
        ("argument", "4f1c6f2be0".to_owned()),
        ("variable", "b29cd4f5a1".to_owned()),
    ];
    let mut child = Command::new("sh")
        .args(["-c", "read line", "4f1c6f2be0"])
        .env("SECRET", "b29cd4f5a1")
        .stdin(Stdio::piped())
        .spawn()?;
    let mut told = BTreeSet::new();
    // A process that has just begun has its environment before it has its command line.
    let seen = || {
        look(&needles, &mut told);
        Ok(format!("{told:?}"))
    };
    let both = wait_until("both to be seen", SOON, seen, |told| {
        told.contains("[\\\"argument\\\"] in the cmdline of sh")
            && told.contains("[\\\"variable\\\"] in the environ")
    });
    child.kill()?;
    child.wait()?;
    both.map(drop)
}
