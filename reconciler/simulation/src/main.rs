//! `simulation`: simulates days of fleets, and tells which invariant was broken, and how.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use simulation::ledger::Counts;
use simulation::plan::Plan;
use simulation::run::{Ended, RunError, run};
use tracing::Level;

/// Simulates days of a fleet; the same seed is the same story.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many hosts the fleet has.
    #[arg(long, value_name = "N", default_value_t = 10)]
    hosts: u32,
    /// How many days pass before things calm down.
    #[arg(long, value_name = "D", default_value_t = 2)]
    days: u32,
    /// What decides all that happens.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many stories, with this seed and those after it.
    #[arg(long, value_name = "K", default_value_t = 1)]
    seeds: u64,
    /// Print the whole story of each, with what the program logs for those who debug it.
    #[arg(long)]
    story: bool,
}

/// So many lines of a story that went wrong are shown; all of them are in a file.
const LINES_SHOWN: usize = 200;

fn main() -> ExitCode {
    let options = Options::parse();
    let began = tokio::time::Instant::now();
    let (mut counts, mut broken) = (Counts::default(), 0_u64);
    for ended in all(&options) {
        match ended {
            Ok(ended) => {
                counts = counts.and(ended.counts);
                broken += u64::from(ended.broken.is_some());
                tell(&options, &ended);
            }
            Err(error) => {
                say(&format!("{error}: {:?}", std::error::Error::source(&error)));
                return ExitCode::FAILURE;
            }
        }
    }
    summarise(&options, &counts, broken, began.elapsed());
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs every seed, on as many threads as there are cores; gives how each ended, as they end.
fn all(options: &Options) -> mpsc::IntoIter<Result<Ended, RunError>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel();
    for core in 0..cores {
        let (options, next, sender) = (options.clone(), next.clone(), sender.clone());
        std::thread::spawn(move || {
            stay_on(core);
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= options.seeds {
                    return;
                }
                let plan = Plan::draw(options.seed + number, options.hosts, options.days);
                let level = if options.story {
                    Level::DEBUG
                } else {
                    Level::INFO
                };
                if sender.send(run(plan, level)).is_err() {
                    return;
                }
            }
        });
    }
    receiver.into_iter()
}

/// Keeps this thread and those that it starts on one core. A run works with the thread of its store by turns, which is
/// twice as fast where neither has to wake another core.
fn stay_on(core: usize) {
    let mut cores = nix::sched::CpuSet::new();
    if cores.set(core).is_ok() {
        // It is only slower otherwise.
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores);
    }
}

fn tell(options: &Options, ended: &Ended) {
    if options.story {
        say(&ended.story.text());
    }
    let Some(broken) = &ended.broken else {
        return;
    };
    let host = broken.host.as_ref().map(ToString::to_string);
    say(&ended.story.about(host.as_deref(), LINES_SHOWN));
    say(&format!(
        "seed {}: BROKEN {}{}: {}",
        ended.seed,
        broken.invariant,
        host.map(|host| format!(" on {host}")).unwrap_or_default(),
        broken.what
    ));
    let file = folder().join(format!("simulation-{}.story", ended.seed));
    match std::fs::write(&file, ended.story.text()) {
        Ok(()) => say(&format!("the whole story: {}", file.display())),
        Err(error) => say(&format!("the whole story cannot be written: {error}")),
    }
    say(&format!(
        "again: cargo xtask simulate --hosts {} --days {} --seed {}",
        options.hosts, options.days, ended.seed
    ));
}

/// Where cargo puts what it makes.
fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    workspace
        .canonicalize()
        .unwrap_or_else(|_| std::env::temp_dir())
}

fn summarise(options: &Options, counts: &Counts, broken: u64, took: Duration) {
    let Options {
        hosts, days, seeds, ..
    } = options;
    say(&format!(
        "{seeds} stories of {hosts} hosts and {days} days in {:.1} s, {} MiB: {broken} broken",
        took.as_secs_f64(),
        peak_memory() / 1024,
    ));
    say(&counts.to_string());
}

/// The most memory that this process ever had, in KiB (proc_pid_status(5), VmHWM).
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "it talks to the person who started it")]
fn say(text: &str) {
    println!("{text}");
}
