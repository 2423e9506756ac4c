//! The Git server: pushes, and deliveries that are lost, late, repeated or forged.

use std::sync::Arc;
use std::time::Duration;

use desired_state::{BranchName, RepositoryName, Revision};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::sleep;

use crate::generator::Generator;
use crate::git::Kind;
use crate::invariants::accepted;
use crate::life::Mortal;
use crate::systems::Behaviour;
use crate::world::World;

/// The secret that the hook shares with the controller.
pub const SECRET: &[u8] = b"a secret of the simulation";
/// The path of the hook.
pub const PATH: &str = "/hook";
/// How often somebody pushes.
const OFTEN: Duration = Duration::from_secs(75 * 60);
/// Gitea gives a delivery up after this (its app.ini, `[webhook] DELIVER_TIMEOUT`).
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How late a delivery may be.
const LATE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20 * 60));
/// How long a branch stays rewound or gone, before somebody notices.
const NOTICED: (Duration, Duration) = (Duration::from_secs(10 * 60), Duration::from_secs(3 * 3600));
/// Between the pushes of somebody who tries things out.
const STORM: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(180));

/// A delivery.
#[derive(Debug, Clone)]
struct Delivery {
    id: String,
    repository: RepositoryName,
    branch: BranchName,
    commit: Revision,
    is_forged: bool,
}

/// The forge.
pub struct Forge {
    world: Arc<World>,
    generator: Generator,
}

impl Forge {
    /// Of this world.
    pub fn new(world: Arc<World>) -> Self {
        let generator = Generator::new(world.plan.seed, "forge");
        Self { world, generator }
    }

    /// Has somebody push now and then, for ever.
    pub async fn push_now_and_then(mut self) {
        let repositories: Vec<RepositoryName> = self.world.repositories.keys().cloned().collect();
        let branches = self.world.branches();
        loop {
            let pause = self.generator.until_next(OFTEN);
            sleep(pause).await;
            let repository = repositories[usize::from(self.generator.chance(0.25))].clone();
            let branch = branches[usize::from(self.generator.chance(0.3))].clone();
            match self.generator.below(20) {
                0 => self.rewind(repository, branch),
                1 => self.delete(repository, branch),
                2 => self.storm(&repository, &branch).await,
                _ => self.push(&repository, &branch),
            }
        }
    }

    /// What the next commit does.
    fn kind(&mut self) -> Kind {
        match self.generator.below(100) {
            0..3 => Kind::DoesNotEvaluate,
            3..20 => {
                let bad = self.generator.pick(&Behaviour::BAD).copied();
                bad.map_or(Kind::Good, Kind::Bad)
            }
            _ => Kind::Good,
        }
    }

    /// Pushes a commit.
    pub fn push(&mut self, repository: &RepositoryName, branch: &BranchName) {
        let kind = self.kind();
        let share = 0.2 + 0.8 * self.generator.unit();
        let Some(on_server) = self.world.repositories.get(repository) else {
            return;
        };
        let commit = on_server.commit(branch, kind, share, None);
        self.pushed(repository, branch, commit, kind);
    }

    fn pushed(
        &mut self,
        repository: &RepositoryName,
        branch: &BranchName,
        commit: Revision,
        kind: Kind,
    ) {
        self.world.ledger.count(|counts| counts.pushes += 1);
        let what = format!(
            "{} is pushed to {branch} of {repository} ({kind:?})",
            commit.short()
        );
        self.world.story.tell("forge", &what);
        let id = format!("{:016x}", self.generator.number());
        let delivery = Delivery {
            id,
            repository: repository.clone(),
            branch: branch.clone(),
            commit,
            is_forged: false,
        };
        self.deliver(delivery);
    }

    /// Somebody pushes again and again, for longer than a host is patient.
    async fn storm(&mut self, repository: &RepositoryName, branch: &BranchName) {
        for _ in 0..20 {
            self.push(repository, branch);
            let pause = self.generator.between(STORM.0, STORM.1);
            sleep(pause).await;
        }
    }

    /// Rewinds a branch; its main line goes on when somebody has noticed.
    fn rewind(&mut self, repository: RepositoryName, branch: BranchName) {
        let kind = self.kind();
        let Some(on_server) = self.world.repositories.get(&repository) else {
            return;
        };
        let Some(commit) = on_server.rewind(&branch, kind, 0.7) else {
            return;
        };
        self.world
            .story
            .tell("forge", &format!("{branch} of {repository} is rewound"));
        self.pushed(&repository, &branch, commit, kind);
        let (world, noticed) = (
            Arc::clone(&self.world),
            self.generator.between(NOTICED.0, NOTICED.1),
        );
        tokio::spawn(async move {
            sleep(noticed).await;
            if let Some(on_server) = world.repositories.get(&repository) {
                let onto = on_server.mainline(&branch);
                on_server.commit(&branch, Kind::Good, 0.5, onto.as_ref());
                world.story.tell(
                    "forge",
                    &format!("{branch} of {repository} goes on where it was"),
                );
            }
        });
    }

    /// Deletes a branch until somebody has noticed.
    fn delete(&mut self, repository: RepositoryName, branch: BranchName) {
        let Some(at) = self
            .world
            .repositories
            .get(&repository)
            .and_then(|one| one.delete(&branch))
        else {
            return;
        };
        self.world
            .story
            .tell("forge", &format!("{branch} of {repository} is deleted"));
        let (world, noticed) = (
            Arc::clone(&self.world),
            self.generator.between(NOTICED.0, NOTICED.1),
        );
        tokio::spawn(async move {
            sleep(noticed).await;
            if let Some(on_server) = world.repositories.get(&repository)
                && on_server.tip(&branch).is_none()
            {
                on_server.restore(&branch, &at);
            }
        });
    }

    /// Delivers, loses, delays or repeats; and now and then somebody forges one.
    fn deliver(&mut self, delivery: Delivery) {
        let lost = self.generator.chance(0.2);
        let late = self.generator.chance(0.2);
        let repeated = self.generator.chance(0.15);
        let forged = self.generator.chance(0.1);
        let mut delays = Vec::new();
        if !lost {
            delays.push(self.delay(late));
        }
        if repeated {
            delays.push(self.delay(true));
        }
        if lost && !repeated {
            self.world.ledger.count(|counts| counts.lost += 1);
        }
        let repository_of_nobody = "somebody/else".parse().ok();
        for delay in delays {
            tokio::spawn(arrive(Arc::clone(&self.world), delivery.clone(), delay));
        }
        if forged {
            let delay = self.delay(true);
            let forged = Delivery {
                id: format!("{:016x}", self.generator.number()),
                is_forged: true,
                repository: repository_of_nobody
                    .filter(|_| late)
                    .unwrap_or(delivery.repository.clone()),
                ..delivery
            };
            tokio::spawn(arrive(Arc::clone(&self.world), forged, delay));
        }
    }

    fn delay(&mut self, late: bool) -> Duration {
        match late {
            true => self.generator.between(LATE.0, LATE.1),
            false => self
                .generator
                .between(Duration::from_millis(20), Duration::from_secs(2)),
        }
    }
}

async fn arrive(world: Arc<World>, delivery: Delivery, delay: Duration) {
    sleep(delay).await;
    let Some(running) = world.running() else {
        world.ledger.count(|counts| counts.lost += 1);
        return;
    };
    let request = request(&delivery);
    let hook = running.hook.clone();
    let reply = async move { request.reply(&hook).await };
    let answer = tokio::select! {
        biased;
        answer = Mortal::of(&running.life, reply) => answer,
        () = running.life.ended() => return,
        () = sleep(DELIVERY_TIMEOUT) => return,
    };
    let status = answer.status().as_u16();
    if delivery.is_forged {
        world.ledger.count(|counts| counts.refused += 1);
        if (200..300).contains(&status) {
            let what = format!("a forged delivery is answered with {status}");
            world
                .ledger
                .breaks("forged_deliveries_are_refused", None, what);
        }
    } else if (200..300).contains(&status) {
        world.ledger.count(|counts| counts.accepted += 1);
        accepted::is_on_record(&world, &delivery.repository, &delivery.id).await;
    }
}

fn request(delivery: &Delivery) -> warp::test::RequestBuilder {
    let body = body(delivery);
    let signature = if delivery.is_forged {
        sign(b"another secret", &body)
    } else {
        sign(SECRET, &body)
    };
    warp::test::request()
        .method("POST")
        .path(PATH)
        .header("content-type", "application/json")
        .header("x-gitea-event", "push")
        .header("x-gitea-delivery", &delivery.id)
        .header("x-gitea-signature", signature)
        .body(body)
}

/// The fields that are read of what Gitea sends.
fn body(delivery: &Delivery) -> String {
    let Delivery {
        repository,
        branch,
        commit,
        ..
    } = delivery;
    format!(
        "{{\"ref\":\"refs/heads/{branch}\",\"before\":\"{}\",\"after\":\"{commit}\",\
         \"repository\":{{\"full_name\":\"{repository}\",\"object_format_name\":\"sha1\"}}}}",
        "1".repeat(40),
    )
}

fn sign(secret: &[u8], body: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => hex::encode(mac.chain_update(body).finalize().into_bytes()),
        Err(_) => unreachable!("HMAC takes a key of any length"),
    }
}
