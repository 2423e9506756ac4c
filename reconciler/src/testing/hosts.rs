//! Hosts that do as they are told, unless a test says otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    Action, ActivationReport, ActivationRequest, ActivationVerdict, DeploymentId, DeploymentTrace,
    Freed, FromOutside, HostCollection, HostCollectionRequest, HostCollectionResult, Observation,
    RollbackReason, RunsAs, Specialisation, SpecialisationOf, SshError, Told, Toplevel,
};
use desired_state::HostName;
use parking_lot::Mutex;
use planning::model::health_checks::ProbeKind;
use tokio::time::Instant;

use super::script::Script;
use super::system;
use crate::context::ports::{HostError, Hosts, Login, ProbeError, Seen, Way};

/// The machine id of the machine that we run on.
pub const THIS_MACHINE: &str = "this-machine";

/// One host.
#[derive(Debug)]
pub struct ScriptedHost {
    /// What it says of itself.
    pub says: Observation,
    /// Whether it does not answer.
    pub is_away: bool,
    /// The specialisations that its systems have.
    pub specialisations: Vec<Specialisation>,
    /// How its activations end, where not well.
    pub verdict: Option<ActivationVerdict>,
    /// Whether it answers no more once an activation was started.
    pub goes_silent: bool,
    /// What it makes of the order to reboot.
    pub told: Told,
    /// How long it is away then.
    pub boots_in: Duration,
    activation: Option<Activation>,
    back_at: Option<Instant>,
}

/// An activation on a host.
#[derive(Debug)]
struct Activation {
    request: ActivationRequest,
    acknowledged: Option<FromOutside>,
    ended: Option<ActivationVerdict>,
}

/// All hosts.
#[derive(Debug)]
pub struct ScriptedHosts {
    script: Arc<Script>,
    hosts: Mutex<BTreeMap<HostName, ScriptedHost>>,
}

/// The connection broke.
pub fn lost() -> HostError {
    HostError::Login(SshError::Lost {
        address: "somewhere".into(),
        program: "sh".into(),
    })
}

/// The host was reached, and does not let us become root.
pub fn refused() -> HostError {
    HostError::Login(SshError::SudoPassword {
        address: "somewhere".into(),
    })
}

impl ScriptedHost {
    fn new(host: &HostName) -> Self {
        Self {
            says: Observation {
                running: Some(system('0')),
                booted: Some(system('0')),
                profile: Some(system('0')),
                boot_id: "first-boot".into(),
                machine_id: format!("machine-of-{host}"),
                system_state: "running".into(),
                ..Observation::default()
            },
            is_away: false,
            specialisations: Vec::new(),
            verdict: None,
            goes_silent: false,
            told: Told::Reboots,
            boots_in: Duration::from_secs(30),
            activation: None,
            back_at: None,
        }
    }

    /// It runs, boots and has booted this.
    pub fn is_on(&mut self, toplevel: &Toplevel) {
        let says = &mut self.says;
        for one in [&mut says.running, &mut says.booted, &mut says.profile] {
            *one = Some(toplevel.clone());
        }
    }

    /// It runs this, or a specialisation of it.
    pub fn runs(&mut self, toplevel: &Toplevel, specialised: Option<Specialisation>) {
        let says = &mut self.says;
        says.specialisation_of.clear();
        says.running = Some(toplevel.clone());
        if let Some(name) = specialised {
            says.running = format!("{toplevel}-{name}").parse().ok();
            let toplevel = toplevel.clone();
            says.specialisation_of
                .push(SpecialisationOf { name, toplevel });
        }
    }

    fn answers(&self) -> bool {
        !self.is_away && self.back_at.is_none_or(|back_at| back_at <= Instant::now())
    }

    fn start(&mut self, request: &ActivationRequest) {
        self.is_away = self.goes_silent;
        let again = self
            .activation
            .as_ref()
            .is_some_and(|one| one.request.id == request.id);
        if again {
            return;
        }
        if matches!(request.action, Action::Switch | Action::Test) {
            let name = match &request.runs_as {
                RunsAs::Base => None,
                RunsAs::Kept(name) | RunsAs::Wanted(name) => Some(name.clone()),
            };
            let name = name.filter(|name| self.specialisations.contains(name));
            self.runs(&request.new, name);
        }
        self.says.deployments.push(DeploymentTrace {
            id: request.id.to_string(),
            unit_state: "active".into(),
            verdict: None,
        });
        self.activation = Some(Activation {
            request: request.clone(),
            acknowledged: None,
            ended: None,
        });
    }

    /// How far the activation of this name is; what is over takes effect.
    fn follow(&mut self, id: &DeploymentId) -> ActivationReport {
        let boot_id = self.says.boot_id.clone();
        let report = |verdict| ActivationReport {
            verdict,
            steps: Vec::new(),
            exit_code: None,
            failed_units: Vec::new(),
            output_tail: "the last lines".into(),
            boot_id,
        };
        let activation = self.activation.as_mut();
        let Some(activation) = activation.filter(|one| one.request.id == *id) else {
            return report(ActivationVerdict::Vanished);
        };
        let verdict = match (&self.verdict, &activation.acknowledged) {
            (Some(verdict), _) => verdict.clone(),
            (None, None) if activation.request.proof.acknowledge.is_some() => {
                return report(ActivationVerdict::Awaiting);
            }
            (None, Some(FromOutside::Failed { probe })) => ActivationVerdict::RolledBack {
                reason: RollbackReason::Probe {
                    name: probe.clone(),
                },
            },
            (None, None | Some(FromOutside::Good)) => ActivationVerdict::Done,
        };
        if activation.ended.replace(verdict.clone()).is_none() {
            let request = &activation.request;
            match verdict {
                ActivationVerdict::Done if request.action.sets_profile() => {
                    self.says.profile = Some(request.new.clone());
                }
                ActivationVerdict::Done | ActivationVerdict::Failed { .. } => {}
                _ => {
                    self.says.running = Some(request.observed.clone());
                    self.says.specialisation_of.clear();
                }
            }
            for trace in &mut self.says.deployments {
                trace.verdict = Some("ended".into());
            }
        }
        report(verdict)
    }

    fn reboot(&mut self, boot_id: &str) -> Told {
        if self.says.boot_id != boot_id {
            return Told::HasRebooted;
        }
        if self.told == Told::Reboots {
            self.back_at = Some(Instant::now() + self.boots_in);
            self.says.boot_id = format!("boot-after-{boot_id}");
            self.says.booted = self.says.profile.clone();
            self.says.running = self.says.profile.clone();
            self.says.specialisation_of.clear();
            self.says.reboot_reasons.clear();
        }
        self.told.clone()
    }
}

impl ScriptedHosts {
    pub(super) fn new(script: Arc<Script>) -> Self {
        Self {
            script,
            hosts: Mutex::default(),
        }
    }

    /// Changes a host, or asks it something.
    pub fn with<T>(&self, host: &HostName, change: impl FnOnce(&mut ScriptedHost) -> T) -> T {
        let mut hosts = self.hosts.lock();
        let new = || ScriptedHost::new(host);
        change(hosts.entry(host.clone()).or_insert_with(new))
    }

    async fn ask<T>(
        &self,
        call: String,
        way: &Way,
        answer: impl FnOnce(&mut ScriptedHost) -> T,
    ) -> Result<T, HostError> {
        self.script.call::<HostError>(call).await?;
        self.with(&way.host, |host| match host.answers() {
            true => Ok(answer(host)),
            false => Err(lost()),
        })
    }
}

/// The first of its routes.
fn route(way: &Way) -> &str {
    way.destinations
        .first()
        .map_or("nowhere", |one| &one.address)
}

#[async_trait]
impl Hosts for ScriptedHosts {
    async fn observe(&self, way: &Way, login: Login) -> Result<Seen, HostError> {
        let at = Instant::now();
        let host = &way.host;
        let call = match login {
            Login::Warm => format!("observe {host}"),
            Login::Fresh => format!("observe {host} anew"),
        };
        self.ask(call, way, |host| Seen {
            observation: host.says.clone(),
            route: route(way).to_owned(),
            at,
        })
        .await
    }

    async fn start(&self, way: &Way, request: &ActivationRequest) -> Result<(), HostError> {
        let call = format!("start {} {}", request.action.name(), way.host);
        match self.script.call(call).await {
            Err(error @ HostError::Activate(_)) => return Err(error),
            // What got lost is the answer.
            answer => {
                self.with(&way.host, |host| host.start(request));
                answer
            }
        }
    }

    async fn wait(
        &self,
        way: &Way,
        id: &DeploymentId,
        _left: Duration,
    ) -> Result<ActivationReport, HostError> {
        let call = format!("wait {}", way.host);
        self.ask(call, way, |host| host.follow(id)).await
    }

    async fn log_in(&self, way: &Way, _id: &DeploymentId) -> Result<(), HostError> {
        self.ask(format!("log in {}", route(way)), way, |_| ())
            .await
    }

    async fn acknowledge(
        &self,
        way: &Way,
        id: &DeploymentId,
        looks: &FromOutside,
        _left: Duration,
    ) -> Result<(ActivationReport, Observation), HostError> {
        let looks = looks.clone();
        let how = match &looks {
            FromOutside::Good => "good",
            FromOutside::Failed { probe } => probe,
        };
        let call = format!("acknowledge {}: {how}", route(way));
        self.ask(call, way, |host| {
            if let Some(activation) = &mut host.activation {
                activation.acknowledged = Some(looks);
            }
            (host.follow(id), host.says.clone())
        })
        .await
    }

    async fn clean_up(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError> {
        self.ask(format!("clean up {}", way.host), way, |host| {
            host.says.deployments.retain(|one| one.id != id.as_str());
        })
        .await
    }

    async fn reboot(&self, way: &Way, boot_id: &str) -> Result<Told, HostError> {
        let call = format!("reboot {}", way.host);
        self.ask(call, way, |host| host.reboot(boot_id)).await
    }

    async fn collect_garbage(
        &self,
        way: &Way,
        _request: &HostCollectionRequest,
    ) -> Result<HostCollection, HostError> {
        self.ask(format!("collect {}", way.host), way, |_| HostCollection {
            generations: 2,
            freed: Freed { paths: 3, bytes: 5 },
            result: HostCollectionResult::Done,
        })
        .await
    }

    async fn generation(&self, way: &Way, _: u32) -> Result<Option<Toplevel>, HostError> {
        self.ask(format!("generation {}", way.host), way, |_| None)
            .await
    }

    async fn probe(&self, _: &ProbeKind) -> Result<(), ProbeError> {
        self.script.call("probe".into()).await
    }

    fn forget(&self, _: &Way) {}

    async fn is_this_machine(&self, machine_id: &str) -> bool {
        machine_id == THIS_MACHINE
    }
}
