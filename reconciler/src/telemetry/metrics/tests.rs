use super::*;
use crate::testing::status;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

#[test]
fn every_series_of_a_host_that_left_the_fleet_goes_away() {
    let metrics = Metrics::new().unwrap();
    let gone = status("gone");
    metrics.show_host(&gone);
    metrics.show_host(&status("stays"));
    metrics.deployment_ended(&gone.host, "switch", &Outcome::Converged);
    metrics.reboot_ended(&gone.host, &Outcome::Rebooted);
    let collection = Collection {
        began_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        result: desired_state::CollectionResult::Done,
        freed: 1,
        detail: String::new(),
    };
    metrics.collection_ended("gone", &collection);
    assert!(text(&metrics).contains("host=\"gone\""));
    assert!(text(&metrics).contains("store=\"gone\""));
    metrics.forget_host(&gone.host);
    assert!(!text(&metrics).contains("\"gone\""));
    assert!(text(&metrics).contains("host=\"stays\""));
}

#[test]
fn a_host_that_comes_back_as_it_was_is_shown_as_before() {
    let metrics = Metrics::new().unwrap();
    let mut host = status("cyt-pi");
    host.outcome = Some(Outcome::Converged);
    metrics.show_host(&host);
    let before = text(&metrics);
    let ours = |text: &str| text.matches("host=\"cyt-pi\"").count();
    metrics.forget_host(&host.host);
    assert_eq!(ours(&text(&metrics)), 0);
    metrics.show_host(&host);
    assert_eq!(ours(&text(&metrics)), ours(&before));
}

#[test]
fn a_host_has_one_info_series_at_a_time() {
    let metrics = Metrics::new().unwrap();
    let mut host = status("cyt-pi");
    metrics.show_host(&host);
    host.desired_revision = Some("b".repeat(40).parse().unwrap());
    metrics.show_host(&host);
    let lines = text(&metrics);
    let infos: Vec<&str> = lines
        .lines()
        .filter(|line| line.starts_with("reconcile_host_info{"))
        .collect();
    assert_eq!(infos.len(), 1, "{infos:?}");
    assert!(infos[0].contains("bbbb"), "{infos:?}");
}

#[test]
fn a_host_has_the_outcome_of_its_last_attempt_and_no_other() {
    let metrics = Metrics::new().unwrap();
    let mut host = status("cyt-pi");
    let outcomes = |metrics: &Metrics| -> Vec<String> {
        let lines = text(metrics);
        let ours = lines
            .lines()
            .filter(|line| line.starts_with("reconcile_host_outcome{"));
        ours.map(ToOwned::to_owned).collect()
    };
    metrics.show_host(&host);
    assert!(outcomes(&metrics).is_empty());
    for outcome in [Outcome::Built, Outcome::Converged] {
        let label = outcome.label();
        host.outcome = Some(outcome);
        metrics.show_host(&host);
        metrics.show_host(&host);
        let line = format!("reconcile_host_outcome{{host=\"cyt-pi\",outcome=\"{label}\"}} 1");
        assert_eq!(outcomes(&metrics), [line]);
    }
    host.outcome = None;
    metrics.show_host(&host);
    assert!(outcomes(&metrics).is_empty());
}

#[test]
fn a_refused_config_shows_until_a_good_one_is_taken_up() {
    const NAME: &str = "reconcile_config_last_reload_successful";
    let metrics = Metrics::new().unwrap();
    assert!(text(&metrics).contains(&format!("{NAME} 1\n")));
    metrics.config_changed(ConfigChange::Refused);
    assert!(text(&metrics).contains(&format!("{NAME} 0\n")));
    metrics.config_changed(ConfigChange::Reloaded);
    assert!(text(&metrics).contains(&format!("{NAME} 1\n")));
}

#[test]
fn a_counter_whose_labels_are_known_begins_at_zero() {
    let metrics = Metrics::new().unwrap();
    metrics.show_host(&status("cyt-pi"));
    let lines = text(&metrics);
    for series in [
        "reconcile_store_collections_total{result=\"failed\",store=\"cyt-pi\"} 0\n",
        "reconcile_store_freed_bytes_total{store=\"cyt-pi\"} 0\n",
        "reconcile_polls_total{result=\"failed\"} 0\n",
        "reconcile_config_reloads_total{result=\"refused\"} 0\n",
        "reconcile_phase_duration_seconds_count{phase=\"activate\"} 0\n",
        "reconcile_missed_deliveries_total 0\n",
    ] {
        assert!(lines.contains(series), "no {series} in\n{lines}");
    }
}

#[test]
fn a_repository_shows_since_when_it_fails_until_it_can_be_fetched_again() {
    const NAME: &str = "reconcile_repository_failing_since_seconds";
    let metrics = Metrics::new().unwrap();
    let infra = "infra-team/infra".parse().unwrap();
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    for (result, now, since) in [
        (Polled::Failed, 1000, Some("1000")),
        (Polled::Failed, 4600, Some("1000")),
        (Polled::Nothing, 4700, Some("0")),
        (Polled::Failed, 5000, Some("5000")),
        (Polled::Found, 5100, Some("0")),
    ] {
        metrics.polled(&infra, result, at(now));
        let lines = text(&metrics);
        let found = lines.lines().find_map(|line| {
            line.strip_prefix(&format!("{NAME}{{repository=\"infra-team/infra\"}} "))
        });
        assert_eq!(found, since, "at {now}");
    }
    metrics.forget_repository(&infra);
    assert!(!text(&metrics).contains("infra-team/infra"));
}
