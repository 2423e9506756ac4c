//! The port to the simulated hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    ActivateError, ActivationReport, ActivationRequest, ActivationVerdict, DeploymentId,
    DestinationFailure, Freed, FromOutside, HostCollection, HostCollectionRequest,
    HostCollectionResult, LoginFault, Observation, ObserveError, SshError, Told, Toplevel,
};
use desired_state::HostName;
use planning::model::health_checks::ProbeKind;
use reconciler::context::ports::{HostError, Hosts, Login, ProbeError, Seen, Way};
use tokio::time::{Instant, sleep, timeout_at};

use crate::host::unit::AcknowledgedBy;
use crate::host::{Host, power, supervisor};
use crate::invariants::{beginning, ending, rebooting, seen};
use crate::life::Life;
use crate::machine::Fault;
use crate::systems::Behaviour;
use crate::world::World;

/// How many round trips a new login takes.
const LOGIN: u32 = 6;
/// How long it takes until a connection that leads nowhere is given up (ssh_config(5), ServerAliveInterval).
const GIVEN_UP: Duration = Duration::from_secs(20);
/// How long a host collects its garbage.
const COLLECTION: Duration = Duration::from_secs(90);

/// The way to the simulated hosts.
pub struct HostsPort {
    world: Arc<World>,
    life: Arc<Life>,
}

impl HostsPort {
    /// For this life.
    pub fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self { world, life }
    }

    fn host(&self, name: &HostName) -> Result<&Arc<Host>, SshError> {
        self.world.hosts.get(name).ok_or(SshError::NoDestination)
    }

    /// Connects to a host; afterwards it is asked.
    async fn connect(&self, way: &Way, login: Login) -> Result<&Arc<Host>, SshError> {
        self.life.point().await;
        let host = self.host(&way.host)?;
        let is_warm = login == Login::Warm && host.state().is_warm;
        let trips = if is_warm { 1 } else { LOGIN };
        let latency = host.latency * trips * host.state().slowness;
        sleep(latency.min(way.connect + way.observe)).await;
        if let Err(fault) = self.reach(host, is_warm) {
            host.state().is_warm = false;
            if matches!(fault, LoginFault::NoRoute(_)) {
                sleep(way.connect).await;
            }
            self.life.point().await;
            return Err(not_reached(way, fault));
        }
        host.state().is_warm = true;
        self.life.point().await;
        Ok(host)
    }

    fn reach(&self, host: &Host, is_warm: bool) -> Result<(), LoginFault> {
        let machine = &self.world.machine;
        if machine.has(Fault::NoDescriptors) {
            return Err(LoginFault::Local {
                step: "starting ssh",
                source: std::io::Error::from_raw_os_error(24),
            });
        }
        if machine.has(Fault::NetworkDown) {
            return Err(LoginFault::NoRoute("Network is unreachable".to_owned()));
        }
        host.login(is_warm)
    }

    /// Follows a deployment until it has ended, or asks for an acknowledgement, or the time is over.
    async fn follow(
        &self,
        host: &Host,
        id: &DeploymentId,
        left: Duration,
    ) -> Result<ActivationReport, HostError> {
        let deadline = Instant::now() + left;
        loop {
            let changed = host.changed.notified();
            if self.reach(host, true).is_err() {
                sleep(GIVEN_UP).await;
                host.state().is_warm = false;
                return Err(lost(host).into());
            }
            let report = report(host, id);
            if report.verdict != ActivationVerdict::StillRunning {
                return Ok(report);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(report);
            }
        }
    }
}

impl fmt::Debug for HostsPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HostsPort").finish_non_exhaustive()
    }
}

fn not_reached(way: &Way, fault: LoginFault) -> SshError {
    let address = way.destinations.first().map(|one| one.address.clone());
    SshError::NotReached {
        failures: vec![DestinationFailure {
            address: address.unwrap_or_default(),
            fault,
        }],
    }
}

fn lost(host: &Host) -> ActivateError {
    ActivateError::Ssh {
        step: "waiting for the activation",
        source: SshError::Lost {
            address: format!("root@{}", host.name),
            program: "/bin/sh".to_owned(),
        },
    }
}

fn report(host: &Host, id: &DeploymentId) -> ActivationReport {
    let state = host.state();
    let unit = state.units.get(id);
    let verdict = match unit {
        None => ActivationVerdict::Vanished,
        Some(unit) if unit.is_awaiting() => ActivationVerdict::Awaiting,
        Some(unit) => unit
            .verdict
            .clone()
            .unwrap_or(ActivationVerdict::StillRunning),
    };
    ActivationReport {
        verdict,
        steps: Vec::new(),
        exit_code: None,
        failed_units: unit
            .map(|unit| unit.failed_units.clone())
            .unwrap_or_default(),
        output_tail: String::new(),
        boot_id: state.boot_id(),
    }
}

#[async_trait]
impl Hosts for HostsPort {
    async fn observe(&self, way: &Way, login: Login) -> Result<Seen, HostError> {
        let at = Instant::now();
        let host = self.connect(way, login).await.map_err(ObserveError::Ssh)?;
        self.world.ledger.count(|counts| counts.looks += 1);
        let observation = host.observation();
        seen::at_a_look(&self.world, &way.host).await;
        let route = way.destinations.first().map(|one| one.address.clone());
        Ok(Seen {
            observation,
            route: route.unwrap_or_default(),
            at,
        })
    }

    async fn start(&self, way: &Way, request: &ActivationRequest) -> Result<(), HostError> {
        let step = "starting the activation";
        let connected = self.connect(way, Login::Warm).await;
        let host = connected.map_err(|source| ActivateError::Ssh { step, source })?;
        if !host.state().units.contains_key(&request.id) {
            beginning::of(&self.world, host, request).await;
        }
        supervisor::start(host, request);
        self.life.point().await;
        Ok(())
    }

    async fn wait(
        &self,
        way: &Way,
        id: &DeploymentId,
        left: Duration,
    ) -> Result<ActivationReport, HostError> {
        let step = "waiting for the activation";
        let connected = self.connect(way, Login::Warm).await;
        let host = connected.map_err(|source| ActivateError::Ssh { step, source })?;
        let report = self.follow(host, id, left).await;
        self.life.point().await;
        report
    }

    async fn log_in(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError> {
        let host = self.connect(way, Login::Fresh).await?;
        host.state().sessions.insert(id.clone());
        Ok(())
    }

    async fn acknowledge(
        &self,
        way: &Way,
        id: &DeploymentId,
        looks: &FromOutside,
        left: Duration,
    ) -> Result<(ActivationReport, Observation), HostError> {
        let is_new = self.host(&way.host)?.state().sessions.remove(id);
        let by = if is_new {
            AcknowledgedBy::NewLogin
        } else {
            AcknowledgedBy::OldConnection
        };
        let host = match by {
            AcknowledgedBy::NewLogin => self.host(&way.host)?,
            AcknowledgedBy::OldConnection => self.connect(way, Login::Warm).await?,
        };
        self.life.point().await;
        sleep(host.latency).await;
        self.reach(host, true)
            .map_err(|fault| not_reached(way, fault))?;
        if supervisor::acknowledge(host, id, by, looks) {
            beginning::acknowledged(&self.world, host, id, by);
        }
        self.life.point().await;
        let report = self.follow(host, id, left).await?;
        sleep(host.latency).await;
        self.life.point().await;
        Ok((report, host.observation()))
    }

    async fn clean_up(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError> {
        let step = "cleaning up after the activation";
        ending::is_on_record(&self.world, &way.host, id).await;
        let connected = self.connect(way, Login::Warm).await;
        let host = connected.map_err(|source| ActivateError::Ssh { step, source })?;
        host.change(|state| {
            if state
                .units
                .get(id)
                .is_some_and(|unit| unit.verdict.is_some())
            {
                state.units.remove(id);
            }
        });
        self.life.point().await;
        Ok(())
    }

    async fn reboot(&self, way: &Way, boot_id: &str) -> Result<Told, HostError> {
        let host = self.connect(way, Login::Warm).await?;
        let told = {
            let state = host.state();
            match state.holder() {
                _ if state.boot_id() != boot_id => Told::HasRebooted,
                _ if state.is_stopping => Told::Reboots,
                Some(by) => Told::Locked { by },
                None => Told::Reboots,
            }
        };
        if told == Told::Reboots && !host.state().is_stopping {
            rebooting::begins(&self.world, host).await;
            tokio::spawn(power::reboot(Arc::clone(host)));
        }
        tokio::task::yield_now().await;
        self.life.point().await;
        Ok(told)
    }

    async fn collect_garbage(
        &self,
        way: &Way,
        request: &HostCollectionRequest,
    ) -> Result<HostCollection, HostError> {
        let host = self.connect(way, Login::Warm).await?;
        let result = match host.state().at_work() {
            Some(unit) => HostCollectionResult::Locked {
                by: format!("reconcile-{}.service", unit.request.id),
            },
            None => HostCollectionResult::Done,
        };
        sleep(COLLECTION).await;
        let generations = match result {
            HostCollectionResult::Done => collect(host, request),
            _ => 0,
        };
        self.life.point().await;
        Ok(HostCollection {
            generations,
            freed: Freed::default(),
            result,
        })
    }

    async fn generation(&self, way: &Way, generation: u32) -> Result<Option<Toplevel>, HostError> {
        let host = self.connect(way, Login::Warm).await?;
        let found = host.state().generations.get(&generation).cloned();
        Ok(found)
    }

    async fn probe(&self, what: &ProbeKind) -> Result<(), ProbeError> {
        self.life.point().await;
        let ProbeKind::Tcp { host, .. } = what else {
            return Ok(());
        };
        let host: Option<HostName> = host.parse().ok();
        let host = host.and_then(|host| self.world.hosts.get(&host));
        let answers = host.is_some_and(|host| {
            let running = host.state().running.clone();
            self.reach(host, true).is_ok()
                && self.world.systems.behaviour(Some(&running)) != Behaviour::FailsAProbe
        });
        match answers {
            true => Ok(()),
            false => Err(ProbeError::Said("connection refused".to_owned())),
        }
    }

    fn forget(&self, way: &Way) {
        if let Ok(host) = self.host(&way.host) {
            host.state().is_warm = false;
        }
    }

    async fn is_this_machine(&self, _: &str) -> bool {
        false
    }
}

/// Deletes the generations that nothing keeps; gives how many.
fn collect(host: &Host, request: &HostCollectionRequest) -> usize {
    host.change(|state| {
        let newest = state
            .generations
            .keys()
            .rev()
            .take(request.keep_newest)
            .copied();
        let newest: Vec<u32> = newest.chain([state.generation]).collect();
        let before = state.generations.len();
        let (running, booted) = (state.running.clone(), state.booted.clone());
        let kept = |number: &u32, system: &Toplevel| {
            newest.contains(number)
                || request.keep.contains(system)
                || *system == running
                || *system == booted
        };
        let generations: BTreeMap<u32, Toplevel> = std::mem::take(&mut state.generations)
            .into_iter()
            .filter(|(number, system)| kept(number, system))
            .collect();
        state.store = generations
            .values()
            .cloned()
            .chain([running.clone(), booted.clone()])
            .collect();
        state.generations = generations;
        before - state.generations.len()
    })
}
