//! What a run is like: the fleet and its settings, drawn from the seed, and the config that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use desired_state::{BranchName, HostName, RepositoryName};
use reconciler::config::{Config, Environment, Source, parse};

use crate::generator::Generator;

/// The repositories, the second of which few hosts follow.
pub const REPOSITORIES: [&str; 2] = ["infra-team/infra", "lab/machines"];
/// The branches that hosts follow.
pub const BRANCHES: [&str; 2] = ["main", "staging"];

/// How often a turn of the store takes long: a disk that is busy with something else.
const SLOW_TURNS: f64 = 0.003;
/// The longest that it then takes.
pub const SLOWEST_TURN: Duration = Duration::from_secs(2);

const MINUTE: Duration = Duration::from_secs(60);

/// A run, as it was drawn.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many days pass before things calm down.
    pub days: u32,
    /// How often hosts are looked at.
    pub interval: Duration,
    /// How often repositories are.
    pub poll: Duration,
    /// The longest wait after failures.
    pub backoff_max: Duration,
    /// The first.
    pub backoff_first: Duration,
    /// How many builds, copies and activations at once, and how many rollbacks stop a commit.
    pub limits: [u64; 4],
    /// Whether branches that were rewound are followed.
    pub follows_forced_pushes: bool,
    /// Whether the state on disk is read at every look at a host, which costs time of ours.
    pub is_watched_closely: bool,
    /// Whether the garbage of stores is collected.
    pub is_tidy: bool,
    /// How often a turn of the store takes long, and how long at most.
    pub slow_turns: (f64, Duration),
    /// The hosts.
    pub hosts: BTreeMap<HostName, HostPlan>,
}

/// One host, as it was drawn.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// What it follows.
    pub repository: RepositoryName,
    /// What it follows there.
    pub branch: BranchName,
    /// The hours (UTC) of each day in which it may be changed; at any time where there are none.
    pub window: Option<(u32, u32)>,
    /// The hours (UTC) of the second day in which nothing may be changed.
    pub freeze: Option<(u32, u32)>,
    /// Whether drift is only reported.
    pub is_observed: bool,
    /// Whether it is off now and then.
    pub is_intermittent: bool,
    /// Whether it is rebooted where that is required.
    pub is_rebooted: bool,
    /// Whether a probe looks at it from the controller.
    pub has_probe: bool,
}

/// What persons have changed in the config since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Hosts whose attribute is wrong, and what it is.
    pub wrong_attribute: BTreeMap<HostName, String>,
    /// Hosts whose probe has another timeout.
    pub other_proof: BTreeSet<HostName>,
}

impl Plan {
    /// Draws one. Windows come with a second day, or nothing would get done within one.
    pub fn draw(seed: u64, hosts: u32, days: u32) -> Self {
        let mut generator = Generator::new(seed, "plan");
        let interval = generator.between(MINUTE, 10 * MINUTE);
        let poll = generator.between(MINUTE, 10 * MINUTE);
        let backoff_first = generator.between(MINUTE / 6, MINUTE);
        let backoff_max = generator.between(10 * MINUTE, 60 * MINUTE);
        let limits = [4, 4, 8, 2].map(|most| 1 + generator.below(most));
        let follows_forced_pushes = generator.chance(0.5);
        let hosts = (0..hosts).filter_map(|number| {
            let name: HostName = format!("host-{number:02}").parse().ok()?;
            Some((name.clone(), HostPlan::draw(seed, &name)?))
        });
        Self {
            seed,
            days,
            interval: whole_seconds(interval),
            poll: whole_seconds(poll),
            backoff_first: whole_seconds(backoff_first),
            backoff_max: whole_seconds(backoff_max),
            limits,
            follows_forced_pushes,
            is_watched_closely: generator.chance(0.1),
            is_tidy: generator.chance(0.25),
            slow_turns: (SLOW_TURNS, SLOWEST_TURN),
            hosts: hosts.collect(),
        }
    }

    /// What every host may not exceed when it rolls a commit back, or the others wait.
    pub fn rollbacks(&self) -> usize {
        self.limits[3] as usize
    }

    /// The config as it is after these edits.
    ///
    /// # Errors
    /// What the reader says of it.
    pub fn config(&self, state: &Path, edits: &Edits) -> Result<Arc<Config>, String> {
        let source = Source {
            file: PathBuf::from("/etc/reconcile/reconcile.toml"),
            text: self.text(state, edits),
            working_directory: PathBuf::from("/"),
        };
        let loaded =
            parse(source, &Environment::default()).map_err(|mistakes| mistakes.to_string())?;
        Ok(loaded.config)
    }

    fn text(&self, state: &Path, edits: &Edits) -> String {
        let [builds, copies, activations, rollbacks] = self.limits;
        let (interval, poll) = (self.interval.as_secs(), self.poll.as_secs());
        let (first, max) = (self.backoff_first.as_secs(), self.backoff_max.as_secs());
        let forced_push = if self.follows_forced_pushes {
            "follow"
        } else {
            "refuse"
        };
        let (ours, theirs) = if self.is_tidy {
            ("7h", "11h")
        } else {
            ("off", "off")
        };
        let mut text = format!(
            "state_directory = \"{}\"\n\
             [webhook]\nsecret_files = [\"/etc/reconcile/secret\"]\n\
             [limits]\nbuilds = {builds}\ncopies = {copies}\nactivations = {activations}\nrollbacks = {rollbacks}\n\
             [store]\ncollect_every = \"{ours}\"\nkeep_for = \"12h\"\n\
             [defaults]\ninterval = \"{interval}s\"\n\
             [defaults.store]\ncollect_every = \"{theirs}\"\nkeep_for = \"6h\"\n\
             [defaults.backoff]\nfirst = \"{first}s\"\nmax = \"{max}s\"\n\
             [defaults.timeouts]\nactivate = \"5m\"\nbuild = \"30m\"\ncopy = \"20m\"\n",
            state.display(),
        );
        for repository in REPOSITORIES {
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "[repositories.\"{repository}\"]\nurl = \"https://git.example/{repository}.git\"\n\
                 poll_interval = \"{poll}s\"\nforced_push = \"{forced_push}\"\n",
            );
        }
        for (name, host) in &self.hosts {
            host.write(name, edits, &mut text);
        }
        text
    }
}

impl HostPlan {
    fn draw(seed: u64, name: &HostName) -> Option<Self> {
        let mut generator = Generator::new(seed, &format!("plan {name}"));
        let repository = REPOSITORIES[usize::from(generator.chance(0.2))];
        let branch = BRANCHES[usize::from(generator.chance(0.25))];
        let hours = |generator: &mut Generator, longest| {
            let from = generator.below(24) as u32;
            (from, (from + 1 + generator.below(longest) as u32) % 24)
        };
        let window = hours(&mut generator, 12);
        let freeze = hours(&mut generator, 6);
        Some(Self {
            repository: repository.parse().ok()?,
            branch: branch.parse().ok()?,
            window: generator.chance(0.2).then_some(window),
            freeze: (generator.chance(0.1) && freeze.0 < freeze.1).then_some(freeze),
            is_observed: generator.chance(0.05),
            is_intermittent: generator.chance(0.15),
            is_rebooted: generator.chance(0.4),
            has_probe: generator.chance(0.4),
        })
    }

    fn write(&self, name: &HostName, edits: &Edits, text: &mut String) {
        let (repository, branch) = (&self.repository, &self.branch);
        let _ = write!(
            text,
            "[hosts.{name}]\nrepository = \"{repository}\"\nbranch = \"{branch}\"\ndestinations = [\"root@{name}\"]\n"
        );
        if self.is_observed {
            text.push_str("policy = \"observe\"\n");
        }
        if self.is_intermittent {
            text.push_str("availability = \"intermittent\"\n");
        }
        if let Some(attribute) = edits.wrong_attribute.get(name) {
            let _ = writeln!(text, "attribute = \"{attribute}\"");
        }
        if let Some((from, to)) = self.window {
            let _ = writeln!(
                text,
                "windows = [{{ from = \"{from:02}:00\", to = \"{to:02}:00\", time_zone = \"UTC\" }}]"
            );
        }
        if let Some((from, to)) = self.freeze {
            let _ = writeln!(
                text,
                "freezes = [{{ from = \"2027-01-05T{from:02}:00\", to = \"2027-01-05T{to:02}:00\", time_zone = \"UTC\", why = \"a test\" }}]"
            );
        }
        let _ = writeln!(text, "[hosts.{name}.proof]");
        if edits.other_proof.contains(name) {
            text.push_str("timeout = \"90s\"\n");
        }
        if self.has_probe {
            let _ = writeln!(
                text,
                "probes = [{{ name = \"web\", tcp = \"{name}:443\", from = \"controller\", attempts = 2 }}]"
            );
        }
        if self.is_rebooted {
            let _ = writeln!(text, "[hosts.{name}.reboot]\npolicy = \"when-required\"");
        }
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_makes_a_right_config() {
        for seed in 0..50 {
            let plan = Plan::draw(seed, 12, 2);
            let mut edits = Edits::default();
            let first = plan.hosts.keys().next().cloned();
            edits
                .wrong_attribute
                .extend(first.map(|host| (host, "typo".to_owned())));
            edits.other_proof.extend(plan.hosts.keys().nth(1).cloned());
            let config = plan.config(Path::new("/state"), &edits).unwrap();
            assert_eq!(config.hosts.len(), 12);
            assert_eq!(config.limits.rollbacks, plan.rollbacks());
        }
    }
}
