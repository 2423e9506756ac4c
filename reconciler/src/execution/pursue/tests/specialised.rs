//! Hosts that run a specialisation of their system.

use deploy::Specialisation;

use super::*;

fn name(name: &str) -> Specialisation {
    name.parse().unwrap()
}

/// A host that is on `a`, whose systems have the specialisations `travel` and `home`.
async fn arrived(tables: &str) -> Scene {
    let scene = scene(tables).await;
    scene.change(|host| host.specialisations = vec![name("travel"), name("home")]);
    scene.settle().await;
    scene.script().calls();
    scene
}

/// What runs: the specialisation, if one does, and the system that it is one of.
fn runs(scene: &Scene) -> (Option<String>, Option<Toplevel>) {
    scene.change(|host| {
        let special = host.says.specialisation_of.first().cloned();
        match special {
            Some(special) => (Some(special.name.to_string()), Some(special.toplevel)),
            None => (None, host.says.running.clone()),
        }
    })
}

/// A person switches the host.
fn by_hand(scene: &Scene, specialised: &str) {
    scene.change(|host| host.runs(&system('a'), Some(name(specialised))));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_a_person_switched_into_a_specialisation_of_its_system_is_left_there() {
    let scene = arrived(HOST).await;
    by_hand(&scene, "travel");
    let done = scene.reconcile().await;
    assert_eq!(done.report.decision, Decision::UpToDate);
    assert_eq!(runs(&scene), (Some("travel".into()), Some(system('a'))));
    assert_eq!(scene.history("drift"), [""; 0]);
    assert_eq!(
        scene.state().facts.specialisation_of[0].name,
        name("travel")
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_commit_keeps_the_specialisation_that_runs() {
    let scene = arrived(HOST).await;
    by_hand(&scene, "travel");
    scene.push('b');
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    assert_eq!(runs(&scene), (Some("travel".into()), Some(system('b'))));
    let profile = scene.change(|host| host.says.profile.clone());
    assert_eq!(profile, Some(system('b')));
    assert_eq!(scene.reconcile().await.report.decision, Decision::UpToDate);
}

#[tokio::test(start_paused = true)]
async fn a_new_commit_without_the_specialisation_that_runs_leads_to_the_system_itself() {
    let scene = arrived(HOST).await;
    by_hand(&scene, "travel");
    scene.change(|host| host.specialisations.clear());
    scene.push('b');
    let done = scene.reconcile().await;
    assert_eq!(done.report.outcome, Some(Outcome::Converged));
    assert!(scene.is_on('b'));
}

#[tokio::test(start_paused = true)]
async fn the_specialisation_that_the_config_names_is_run_and_drift_from_it_is_undone() {
    let scene = arrived(&format!("{HOST}\nspecialisation = \"travel\"")).await;
    assert_eq!(runs(&scene), (Some("travel".into()), Some(system('a'))));
    assert_eq!(scene.reconcile().await.report.decision, Decision::UpToDate);
    by_hand(&scene, "home");
    scene.reconcile().await;
    assert_eq!(runs(&scene), (Some("travel".into()), Some(system('a'))));
    let drift = scene.entries("drift").remove(0);
    assert!(
        drift.detail.ends_with(", specialisation travel"),
        "{drift:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_booted_itself_out_of_the_specialisation_that_the_config_names_runs_it_again() {
    let scene = arrived(&format!("{HOST}\nspecialisation = \"travel\"")).await;
    scene.change(|host| host.is_on(&system('a')));
    scene.change(|host| host.says.specialisation_of.clear());
    scene.reconcile().await;
    assert_eq!(runs(&scene), (Some("travel".into()), Some(system('a'))));
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_older_than_the_specialisation_that_the_config_names_is_fallen_back_to_once()
 {
    let scene = quarantined().await;
    scene.reconfigure(&format!("{HOST}\nspecialisation = \"travel\""));
    scene.could_not_stay_on(&scene.host, 'b');
    scene.change(|host| host.is_on(&system('a')));
    for _ in 0..3 {
        scene.reconcile().await;
    }
    let calls = scene.script().calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("start")),
        "{calls:?}"
    );
    assert!(scene.is_on('a'));
}

#[tokio::test(start_paused = true)]
async fn a_system_that_cannot_be_switched_to_is_refused_before_it_is_copied_and_settled() {
    let scene = scene(HOST).await;
    let why = "system.switch.enable is off for this host";
    *scene.outside.nix.unswitchable.lock() = Some(why.into());
    let done = scene.reconcile().await;
    let said = done.report.outcome.unwrap().to_string();
    assert!(
        said.contains("this system cannot be switched to") && said.contains(why),
        "{said}"
    );
    let calls = scene.script().calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("copy")),
        "{calls:?}"
    );
    assert_eq!(scene.reconcile().await.report.decision.label(), "settled");
    *scene.outside.nix.unswitchable.lock() = None;
    scene.push('b');
    scene.reconcile().await;
    assert!(scene.is_on('b'), "another commit is another system");
}
