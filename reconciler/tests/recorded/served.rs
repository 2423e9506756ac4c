//! The daemon, over a fleet of which no host answers: its pages, its control socket, its log, what it remembers, and
//! the command line through it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::asked::{ANSWERED, COMMANDS, DELIVERIES, PUSHED, REFUSED, ROUTES};
use crate::daemon::{Daemon, wait_until};
use crate::database;
use crate::http::Request;
use crate::orders::without_next_attempts;
use crate::record::Record;
use crate::scene::{Scene, written};

/// Its deployment is under way, and the daemon asks after it for a minute.
const IN_FLIGHT: &str = "[hosts.in-flight]\n";

/// Starts the daemon of the fleet, and waits until it has passed over every host once.
fn started(scene: &Scene) -> Daemon<'_> {
    scene.write_config(&written("fleet.toml").replace(IN_FLIGHT, ""));
    pass_over_every_host(scene)
}

/// Starts a daemon, and waits until it has passed over every host once, of which none answers.
pub fn pass_over_every_host(scene: &Scene) -> Daemon<'_> {
    let daemon = Daemon::start(scene);
    wait_until("it has passed over every host", || {
        let status = daemon.get("/v1/status");
        let hosts = status["hosts"].as_array().unwrap();
        hosts.iter().all(is_passed_over).then_some(())
    });
    daemon
}

/// Whether nothing more comes of a first pass over a host: it is overdue since long ago.
fn is_passed_over(host: &Value) -> bool {
    let unreachable = host["unreachable"].as_str().unwrap_or_default();
    let has_been_asked =
        unreachable.contains("nothing listens") && !host["overdue_since"].is_null();
    let waits_for_more = match host["host"].as_str().unwrap() {
        "build-wanted" | "build-without-nix" => host["outcome"].is_null(),
        // Their branches are looked at meanwhile.
        "fresh" | "moved" => host["desired_toplevel"].is_null(),
        _ => !host["reboot_waits"].is_null(),
    };
    has_been_asked && !waits_for_more
}

/// The entries of the history that this run has made; several hosts make theirs side by side.
pub fn new_entries(daemon: &Daemon<'_>) -> Value {
    let told = daemon.told("GET", "/v1/history?limit=1000", "");
    let entries = told["body"]["entries"].as_array().unwrap();
    let is_new = |entry: &&Value| entry["at"] == "<time>";
    let mut new: Vec<Value> = entries.iter().filter(is_new).cloned().collect();
    new.sort_by_key(ToString::to_string);
    Value::Array(new)
}

#[test]
fn a_pass_over_a_host_that_does_not_answer_is_shown_and_remembered() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let mut daemon = started(&scene);
    let get = |path| Request {
        method: "GET",
        path,
        headers: &[],
        body: "",
    };
    let page = |path| daemon.told_at(&scene.operator, get(path));
    let pages = ["/healthz", "/readyz", "/", "/v1/status", "/metrics/"].map(page);
    record.json("served/pages.json", &json!(pages));
    let post = Request {
        method: "POST",
        path: "/metrics",
        headers: &[],
        body: "",
    };
    let posted = daemon.told_at(&scene.operator, post);
    record.json("served/post-metrics.json", &posted);
    let metrics = page("/metrics");
    assert_eq!(
        (&metrics["status"], &metrics["content_type"]),
        (&json!(200), &json!("text/plain; version=0.0.4"))
    );
    record.text(
        "served/metrics.txt",
        &metrics_without_numbers(&scene, metrics["body"].as_str().unwrap()),
    );

    record.json("served/status.json", &daemon.told("GET", "/v1/status", ""));
    record.json("served/history.json", &new_entries(&daemon));
    let asked = [
        "/v1/history",
        "/v1/history?limit=2&host=rebooting",
        "/v1/history?host=fresh",
        "/v1/history?kind=reboot&host=rebooting&limit=1",
    ]
    .map(|path| daemon.told("GET", path, ""));
    record.json("served/history-asked.json", &json!(asked[1..]));
    assert_eq!(asked[0]["body"]["entries"].as_array().unwrap().len(), 50);

    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!scene.path("state/control.sock").exists());
    record.json("served/documents.json", &documents(&scene));
    record.json("served/log.json", &log(&scene, &daemon));
    record.finish();
}

#[test]
fn the_control_socket_answers_requests_and_refuses_what_makes_no_sense() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let daemon = started(&scene);
    let told = |(path, body): &(&str, &str)| daemon.told("POST", path, body);
    let answered: Vec<Value> = ANSWERED.iter().map(told).collect();
    record.json("served/answered.json", &json!(answered));
    let long = json!({ "hosts": "all", "why": "x".repeat(4097), "by": "ada" }).to_string();
    let refused: Vec<Value> = REFUSED.iter().map(told).collect();
    record.json("served/refused.json", &json!(refused));
    let too_long = daemon.told("POST", "/v1/suspend", &long);
    assert_eq!(too_long["status"], 422, "{}", too_long["body"]);
    let asked = ROUTES.map(|(method, path)| daemon.told(method, path, ""));
    record.json("served/routes.json", &json!(asked));
    record.json("served/answered-history.json", &new_entries(&daemon));
    record.finish();
}

#[test]
fn the_command_line_says_the_same_through_the_daemon() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let daemon = started(&scene);
    let status = scene.reconcile("status --json");
    assert_eq!(
        scene.normal.json(&status.stdout),
        daemon.told("GET", "/v1/status", "")["body"]
    );
    let told = without_next_attempts(&scene.transcript(&COMMANDS));
    record.text("served/commands.txt", &told);
    let json = [
        "history --json --host moved",
        "plan --json --host cyt-pi --host vault",
        "--host router --json",
        "--host full --no-wait --json",
        "rollback --host workbench --to 78f76367 --json",
    ];
    record.json("served/commands.json", &scene.json(&json));
    drop(daemon);
    record.finish();
}

#[test]
fn a_delivery_rings_the_bell_and_is_counted() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let mut daemon = started(&scene);
    scene.push("infra", "push");
    let answered: Vec<Value> = DELIVERIES
        .iter()
        .map(|(path, headers, body)| {
            let headers = &[&["Content-Type: application/json"], *headers].concat();
            let request = Request {
                method: "POST",
                path,
                headers,
                body,
            };
            daemon.told_at(&scene.webhook, request)
        })
        .collect();
    record.json("served/deliveries.json", &json!(answered));
    let moved = wait_until("what was pushed is wanted", || {
        let status = daemon.get("/v1/status");
        let hosts = status["hosts"].as_array().unwrap();
        let moved = hosts.iter().find(|host| host["host"] == "moved").unwrap();
        let is_there = moved["desired_revision"] == PUSHED && !moved["outcome"].is_null();
        is_there.then(|| scene.normal.json(&moved.to_string()))
    });
    record.json("served/pushed.json", &moved);
    let history = daemon.told("GET", "/v1/history?host=moved", "");
    record.json("served/pushed-history.json", &history);
    let get = Request {
        method: "GET",
        path: "/metrics",
        headers: &[],
        body: "",
    };
    let metrics = daemon.told_at(&scene.operator, get);
    let of_the_hook = |line: &&str| line.contains("_deliver");
    let lines = metrics["body"]
        .as_str()
        .unwrap()
        .lines()
        .filter(of_the_hook);
    let lines: String = lines
        .map(|line| format!("{}\n", metric(&scene, line)))
        .collect();
    record.text("served/pushed-metrics.txt", &lines);
    assert_eq!(daemon.stop().code(), Some(0));
    record.finish();
}

/// The exposition with its numbers, where neither time nor this machine decides them.
fn metrics_without_numbers(scene: &Scene, text: &str) -> String {
    // Where there is no store of Nix, nothing of it is free.
    let of_this_machine = "reconcile_store_free_bytes{store=\"controller\"}";
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(of_this_machine));
    lines
        .map(|line| format!("{}\n", metric(scene, line)))
        .collect()
}

fn metric(scene: &Scene, line: &str) -> String {
    const OF_THIS_RUN: [&str; 5] = [
        "process_",
        "reconcile_loop_",
        "reconcile_phase_duration_seconds",
        "reconcile_polls_total",
        "reconcile_state_",
    ];
    let version = format!("\",version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let commit = line.strip_prefix("reconcile_build_info{commit=\"");
    if commit.is_some_and(|commit| commit.ends_with(&version)) {
        return "reconcile_build_info{commit=\"<commit>\",version=\"<version>\"} 1".to_owned();
    }
    match line.rsplit_once(' ') {
        Some((series, number)) if !line.starts_with('#') => {
            let is_of_this_run = OF_THIS_RUN.iter().any(|name| series.starts_with(name));
            let number = scene.normal.number(number);
            format!(
                "{series} {}",
                if is_of_this_run { "<number>" } else { &number }
            )
        }
        _ => line.to_owned(),
    }
}

/// What is remembered of each host.
fn documents(scene: &Scene) -> Value {
    let documents = database::documents(Path::new(&scene.path("state/state.db")));
    let read = |(host, document): (String, Value)| (host, scene.normal.json(&document.to_string()));
    Value::Object(documents.into_iter().map(read).collect())
}

/// What was logged, without who logged it, when, and in which order.
pub fn log(scene: &Scene, daemon: &Daemon<'_>) -> Value {
    let read = |line: &str| {
        let mut line = scene.normal.json(line);
        let fields = line.as_object_mut().unwrap();
        fields.remove("timestamp");
        fields.remove("target");
        line.to_string()
    };
    let text = daemon.log();
    let lines: BTreeSet<String> = text.lines().map(read).collect();
    lines.iter().map(|line| scene.normal.json(line)).collect()
}
