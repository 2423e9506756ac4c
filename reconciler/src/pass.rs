//! One pass over one host: wish, evaluate and observe, decide, deploy, remember.

mod asked;
mod facts;

pub use facts::{Evaluation, Seen, Superseded, Unseen};

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use deploy::{EvaluateError, Outcome, Transience};
use desired_state::{HostName, StoreError};
use jiff::Timestamp;

use crate::api::{Report, Step, What};
use crate::attempt::Ended;
use crate::brake;
use crate::clock;
use crate::config::HostConfig;
use crate::decide::{Decision, Situation, Why, decide};
use crate::desired::{Desired, Standing, desired};
use crate::memory::Memory;
use crate::orders::Order;
use crate::reboot::RebootHold;
use crate::refuge::refuge;
use crate::repository::words;
use crate::status;
use crate::supersede;
use crate::window::{self, Openness};
use crate::world::{Repository, Setup, World};
use crate::{activation, collecting, deployment, rebooting};

/// After the state could not be read or written.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(10);

/// What a pass works with.
#[derive(Debug)]
pub struct Pass {
    /// What all passes share.
    pub world: Arc<World>,
    /// The leaves as they were when the pass began.
    pub setup: Arc<Setup>,
    /// The host.
    pub host: HostName,
    /// Its table in the config.
    pub config: HostConfig,
    /// The repository that it follows.
    pub repository: Arc<Repository>,
    /// A person's order, if one is carried out.
    pub order: Option<Order>,
}

/// One pass over `host`; returns when it is to be looked at again, or `None` if it left the fleet.
pub async fn pass(world: Arc<World>, host: HostName) -> Option<Duration> {
    let pass = Pass::new(&world, &host, world.orders.take(&host))?;
    let next = match pass.run().await {
        Ok((report, next)) => {
            world.tell(&host, What::Done(Box::new(report)));
            next
        }
        Err(error) => {
            tracing::error!(%host, error = words(&error), "cannot use the state; the host is left as it is");
            world.tell(
                &host,
                What::Done(Box::new(pass.report(Decision::Wait {
                    why: Why::NoRevision {
                        detail: format!("cannot use the state: {}", words(&error)),
                    },
                }))),
            );
            AFTER_STORE_ERROR
        }
    };
    Some(if world.orders.has(&host) {
        Duration::ZERO
    } else {
        next
    })
}

impl Pass {
    /// A pass over `host` by what is set up now; `None` if it is not of the fleet.
    pub fn new(world: &Arc<World>, host: &HostName, order: Option<Order>) -> Option<Self> {
        let setup = world.setup();
        let config = setup.host(host)?.clone();
        let repository = Arc::clone(setup.repository(&config.repository)?);
        Some(Self {
            world: Arc::clone(world),
            setup,
            host: host.clone(),
            config,
            repository,
            order,
        })
    }

    fn report(&self, decision: Decision) -> Report {
        Report {
            order: self.order.as_ref().map(|order| order.id),
            revision: None,
            branch_state: None,
            decision,
            outcome: None,
            output: String::new(),
        }
    }

    async fn run(&self) -> Result<(Report, Duration), StoreError> {
        let mut memory = status::memory(&self.world.store, &self.host).await?;
        if self.world.take_forgiveness(&self.host) {
            memory.forgive();
        }
        if let Some(unfinished) = self.world.store.unfinished_on(&self.host).await? {
            self.world
                .tell_step(&self.host, Step::Reattaching, Some(&unfinished.revision));
            match activation::resume(self, &unfinished).await {
                Some(mut ended) => {
                    memory.aim(&ended.target);
                    self.conclude(&mut memory, &mut ended);
                    self.write_down(&memory, &memory, &ended).await?;
                }
                None => {
                    let why = Why::Unreachable {
                        detail: "a deployment is under way there, and the host does not answer"
                            .into(),
                    };
                    let unseen = Unseen("does not answer during a deployment".into());
                    self.note_seen(&mut memory, &Err(unseen));
                    self.remember(&memory).await?;
                    return Ok((self.report(Decision::Wait { why }), self.config.interval));
                }
            }
        }

        rebooting::see_through(self, &mut memory).await?;

        let desired =
            match desired(&self.world, &self.host, &self.config, self.order.as_ref()).await? {
                Ok(desired) => desired,
                Err(detail) => {
                    // What it runs is worth knowing all the same.
                    let seen = self.observe().await;
                    self.note_seen(&mut memory, &seen);
                    self.remember(&memory).await?;
                    let decision = Decision::Wait {
                        why: Why::NoRevision { detail },
                    };
                    return Ok((self.report(decision), self.config.interval));
                }
            };
        let mut of_target = memory.clone();
        of_target.aim(&desired.target);
        let mut done = self.towards(&desired, &mut of_target).await;
        let mut way_back = None;
        if let Ok((report, _)) = &done
            && let Some(refuge) = refuge(&desired, report, &of_target)
        {
            let mut of_refuge = of_target.clone();
            of_refuge.aim(&refuge.target);
            let there = self.towards(&refuge, &mut of_refuge).await;
            of_target.take_facts(of_refuge.clone());
            if let Ok((_, Some(ended))) = &there {
                self.write_down(&of_target, &of_refuge, ended).await?;
            }
            way_back = there
                .as_ref()
                .ok()
                .map(|(report, _)| report.decision.clone());
            // What is told is why the wanted system is not there.
            done = there.and(done);
        }
        if let Ok((report, _)) = &done {
            let waits = |decision: &&Decision| matches!(decision, Decision::Wait { .. });
            let decision = way_back.as_ref().filter(waits).unwrap_or(&report.decision);
            self.note_wait(&mut of_target, decision).await?;
        }
        match &desired.standing {
            Standing::Kept => memory = of_target.clone(),
            // What is done once leaves no trace in what the loop remembers of its own target.
            Standing::Once | Standing::Refuge { .. } => memory.take_facts(of_target.clone()),
        }
        match &done {
            Ok((_, Some(ended))) => self.write_down(&memory, &of_target, ended).await?,
            _ => self.remember(&memory).await?,
        }
        let (mut report, _) = done?;
        supersede::ended(self, report.outcome.as_ref());
        if report.outcome.is_none() {
            report.outcome = self.meanwhile(&of_target);
        }
        report.branch_state = self.branch_state().await?;
        rebooting::reboot_when_due(self, &desired, &mut memory, &mut report).await?;
        collecting::host::collect_when_due(self, &desired, &memory, &report).await?;
        let next = self.next_look(&report, &memory);
        Ok((report, next))
    }

    /// How long until the host is looked at again: its interval, or less where an attempt is due or
    /// its window opens before. An attempt that is due but held up, by a suspension say, does not
    /// hurry us.
    fn next_look(&self, report: &Report, memory: &Memory) -> Duration {
        let now = clock::now();
        let mut interval = self.config.interval;
        if let Some(opens) = self.openness(now).opens_in(now) {
            interval = interval.min(opens);
        }
        if let Some(RebootHold::WindowClosed {
            opens: Some(opens), ..
        }) = &memory.reboot_waits
        {
            let wait = Duration::try_from(opens.duration_since(now));
            interval = interval.min(wait.unwrap_or(Duration::ZERO));
        }
        let awaits_attempt = report.outcome.is_some()
            || matches!(
                report.decision,
                Decision::Wait {
                    why: Why::BackingOff { .. }
                }
            );
        match (&report.outcome, memory.next_attempt) {
            (Some(Outcome::Superseded), _) => Duration::ZERO,
            (_, Some(due)) if awaits_attempt => {
                let wait = due.duration_since(now);
                Duration::try_from(wait)
                    .unwrap_or(Duration::ZERO)
                    .min(interval)
            }
            _ => interval,
        }
    }

    /// Looks, decides, and deploys if that is the decision. How an attempt ended is in the memory,
    /// and not written down yet.
    async fn towards(
        &self,
        desired: &Desired,
        memory: &mut Memory,
    ) -> Result<(Report, Option<Ended>), StoreError> {
        let revision = &desired.target.revision;
        if self.insistence(memory).is_forced() {
            memory.forgive();
            memory.machine_id = None;
            memory.reboot = None;
            memory.aim(&desired.target);
        }
        let (mut seen, evaluated) = match self.facts(desired, memory).await? {
            Ok(facts) => facts,
            Err(Superseded) => return Ok((self.superseded(desired), None)),
        };
        let evaluated = match evaluated {
            None => None,
            Some((Ok(evaluated), in_use)) => {
                memory.wanted = Some(evaluated.toplevel.clone());
                Some((evaluated, in_use))
            }
            Some((Err(error), _)) => {
                self.note_seen(memory, &seen);
                let outcome = evaluation_failed(&error);
                let mut ended = Ended::before_activation(desired, None, outcome);
                self.conclude(memory, &mut ended);
                let mut report = self.report(self.decide(desired, memory, &seen).await?);
                report.revision = Some(revision.clone());
                report.outcome = Some(ended.outcome.clone());
                return Ok((report, Some(ended)));
            }
        };
        if let Ok(old) = &seen
            && !old.is_fresh()
        {
            seen = self.observe().await;
        }
        let is_other = |seen: &Seen| memory.other_machine(&seen.observation).is_some();
        let is_other = seen.as_ref().is_ok_and(is_other);
        self.note_seen(memory, &seen);
        if !is_other {
            self.sweep(memory, &seen).await;
            self.note_drift(desired, memory, &seen).await?;
        }
        let decision = self.decide(desired, memory, &seen).await?;
        let mut report = self.report(decision.clone());
        report.revision = Some(revision.clone());
        if let (Decision::Deploy { .. }, Some((evaluated, in_use))) = (&decision, evaluated) {
            // A build can take hours: what is known by now is to be seen meanwhile.
            let remembered = async {
                match &desired.standing {
                    Standing::Kept => self.remember(memory).await,
                    Standing::Once | Standing::Refuge { .. } => Ok(()),
                }
            };
            let work = deployment::deploy(self, desired, memory, &evaluated, seen.ok(), in_use);
            let (remembered, ended) = tokio::join!(remembered, work);
            remembered?;
            let mut ended = ended?;
            if ended.outcome == Outcome::Superseded {
                self.world.metrics.deployment_ended(
                    &self.host,
                    desired.target.action.name(),
                    &ended.outcome,
                );
                return Ok((self.superseded(desired), None));
            }
            self.conclude(memory, &mut ended);
            report.output.clone_from(&ended.output);
            report.outcome = Some(ended.outcome.clone());
            return Ok((report, Some(ended)));
        }
        Ok((report, None))
    }

    /// Decides on what is known.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn decide(
        &self,
        desired: &Desired,
        memory: &Memory,
        seen: &Result<Seen, Unseen>,
    ) -> Result<Decision, StoreError> {
        let suspension = self.world.store.suspended(&self.host).await?;
        let braked_by = brake::braked_by(self, desired).await?;
        let now = clock::now();
        let revision = &desired.target.revision;
        let distrust = self.repository.distrust(revision).await;
        let situation = Situation {
            action: desired.target.action,
            revision,
            distrust: distrust.as_ref(),
            wanted: memory.wanted.as_ref(),
            observed: match seen {
                Ok(seen) => Ok(&seen.observation),
                Err(Unseen(detail)) => Err(detail),
            },
            memory,
            policy: self.config.policy,
            suspended: suspension.as_ref().map(|one| one.why.as_str()),
            braked_by: &braked_by,
            openness: &self.openness(now),
            insistence: self.insistence(memory),
        };
        Ok(decide(&situation, now))
    }

    /// Whether the host may be changed without a person's force, by what the config says now: a pass
    /// takes hours where a build does.
    pub fn openness(&self, now: Timestamp) -> Openness {
        let setup = self.world.setup();
        let config = setup.host(&self.host).unwrap_or(&self.config);
        window::open(&config.windows, &config.freezes, now)
    }

    fn superseded(&self, desired: &Desired) -> Report {
        tracing::info!(host = %self.host, revision = desired.target.revision.short(), "superseded: something newer is wanted");
        let mut report = self.report(Decision::Wait {
            why: Why::NoRevision {
                detail: "something newer is wanted".into(),
            },
        });
        report.revision = Some(desired.target.revision.clone());
        report.outcome = Some(Outcome::Superseded);
        report
    }
}

/// How an evaluation's error ends an attempt.
pub fn evaluation_failed(error: &EvaluateError) -> Outcome {
    Outcome::EvaluationFailed {
        detail: words(error as &dyn Error),
        transience: Transience::when_retrying_is(error.is_worth_retrying()),
    }
}
