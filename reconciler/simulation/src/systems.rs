//! The systems that commits evaluate to, and how each behaves on its host.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::{DerivationPath, Toplevel};
use parking_lot::Mutex;

use crate::generator::Generator;

/// Nix's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
/// The length of a store path's hash.
const HASH_LENGTH: usize = 32;
/// How often a system of a good commit is bad on one host alone.
const BAD_LUCK: f64 = 0.02;
/// How often a system has another kernel than the one before.
const NEW_KERNEL: f64 = 0.25;

/// What a system does on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It works.
    Good,
    /// A unit fails.
    FailsAUnit,
    /// No new login works any more.
    CutsLogins,
    /// Its activation fails half-way.
    FailsToActivate,
    /// Its activation never ends.
    Hangs,
    /// Its activation refuses before anything is changed.
    Refuses,
    /// What a probe from the controller looks at is gone.
    FailsAProbe,
    /// It cannot be activated while the host runs.
    NeedsReboot,
    /// It works until the host is to boot it.
    DoesNotBoot,
    /// It does not build.
    DoesNotBuild,
}

impl Behaviour {
    /// The ways in which a commit is bad.
    pub const BAD: [Self; 9] = [
        Self::FailsAUnit,
        Self::CutsLogins,
        Self::FailsToActivate,
        Self::Hangs,
        Self::Refuses,
        Self::FailsAProbe,
        Self::NeedsReboot,
        Self::DoesNotBoot,
        Self::DoesNotBuild,
    ];
}

/// A system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Where it lies in a store.
    pub toplevel: Toplevel,
    /// What builds it.
    pub derivation: DerivationPath,
    /// What it does on its host.
    pub behaviour: Behaviour,
    /// Which kernel it has.
    pub kernel: u64,
    /// How long its build takes.
    pub build: Duration,
    /// How long its activation takes.
    pub activation: Duration,
}

/// All systems that were ever evaluated or run.
#[derive(Debug, Default)]
pub struct Systems(Mutex<BTreeMap<Toplevel, System>>);

impl Systems {
    /// The system of a host in what a commit says of it: `content` is the commit that last changed it, and `bad` what
    /// that commit does to the whole fleet.
    pub fn of(&self, seed: u64, host: &str, content: &str, bad: Option<Behaviour>) -> System {
        let mut generator = Generator::new(seed, &format!("system {content} {host}"));
        let name = format!("{}-nixos-system-{host}-{content}", hash(&mut generator));
        let derivation = format!(
            "/nix/store/{}-nixos-system-{host}-{content}.drv",
            hash(&mut generator)
        );
        let (Ok(toplevel), Ok(derivation)) =
            (format!("/nix/store/{name}").parse(), derivation.parse())
        else {
            unreachable!("the names of hosts and commits may stand in a store path");
        };
        let has_bad_luck = generator.chance(BAD_LUCK);
        let unlucky = generator.pick(&Behaviour::BAD).copied();
        let behaviour = bad.or(unlucky.filter(|_| has_bad_luck && content != "installed"));
        let kernel = if generator.chance(NEW_KERNEL) {
            generator.number() % 8
        } else {
            0
        };
        let system = System {
            toplevel,
            derivation,
            behaviour: behaviour.unwrap_or(Behaviour::Good),
            kernel,
            build: generator.between(Duration::from_secs(2), Duration::from_secs(20 * 60)),
            activation: generator.between(Duration::from_secs(1), Duration::from_secs(90)),
        };
        let mut all = self.0.lock();
        all.entry(system.toplevel.clone()).or_insert(system).clone()
    }

    /// The same system without its faults: for a commit that is to be good everywhere.
    pub fn mend(&self, toplevel: &Toplevel) {
        if let Some(system) = self.0.lock().get_mut(toplevel) {
            system.behaviour = Behaviour::Good;
        }
    }

    /// A system by its path.
    pub fn get(&self, toplevel: &Toplevel) -> Option<System> {
        self.0.lock().get(toplevel).cloned()
    }

    /// What a system does on its host; one that nobody knows works.
    pub fn behaviour(&self, toplevel: Option<&Toplevel>) -> Behaviour {
        let all = self.0.lock();
        let system = toplevel.and_then(|toplevel| all.get(toplevel));
        system.map_or(Behaviour::Good, |system| system.behaviour)
    }

    /// The kernel of a system; that of one that nobody knows is 0.
    pub fn kernel(&self, toplevel: Option<&Toplevel>) -> u64 {
        let all = self.0.lock();
        toplevel
            .and_then(|toplevel| all.get(toplevel))
            .map_or(0, |system| system.kernel)
    }
}

fn hash(generator: &mut Generator) -> String {
    let digit = |_| {
        let index = generator.below(DIGITS.len() as u64);
        char::from(DIGITS[index as usize])
    };
    (0..HASH_LENGTH).map(digit).collect()
}
