//! The table `[defaults.proof]` and `[hosts.NAME.proof]`: what a system has to prove before it stays.

use std::time::Duration;

use deploy::{OnDegraded, OnRollbackFailed};
use planning::model::health_checks::{Acknowledge, ProbeConfig, ProbeKind, ProofConfig, Viewpoint};
use toml_span::value::Value;

use crate::config::reader::values::{Given, SECOND, choice, duration, integer, text};
use crate::config::reader::{Problem, Section, quoted};

/// A probe's defaults: a service that has just been started is given some seconds.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// More tries than this would keep an unproven system running for longer than anybody means to.
const MOST_ATTEMPTS: u32 = 1000;

/// Reads `table`; what it does not say is taken from `fallback`.
pub(super) fn health_checks(mut table: Section<'_>, fallback: &ProofConfig) -> ProofConfig {
    const ACKNOWLEDGEMENTS: [(&str, Acknowledge); 3] = [
        ("same-route", Acknowledge::SameRoute),
        ("every-route", Acknowledge::EveryRoute),
        ("none", Acknowledge::No),
    ];
    const ON_DEGRADED: [(&str, OnDegraded); 2] = [
        ("rollback", OnDegraded::Rollback),
        ("keep", OnDegraded::Keep),
    ];
    const ON_ROLLBACK_FAILED: [(&str, OnRollbackFailed); 2] = [
        ("stay", OnRollbackFailed::Stay),
        ("reboot", OnRollbackFailed::Reboot),
    ];
    let proof = ProofConfig {
        acknowledge: table.or(
            "acknowledge",
            choice(&ACKNOWLEDGEMENTS),
            fallback.acknowledge,
        ),
        timeout: table.or("timeout", duration(SECOND), fallback.timeout),
        settle: table.or("settle", duration(Duration::ZERO), fallback.settle),
        on_degraded: table.or("on_degraded", choice(&ON_DEGRADED), fallback.on_degraded),
        on_rollback_failed: table.or(
            "on_rollback_failed",
            choice(&ON_ROLLBACK_FAILED),
            fallback.on_rollback_failed,
        ),
        ignored_units: ignored_units(&mut table).unwrap_or_else(|| fallback.ignored_units.clone()),
        probes: probes(&mut table).unwrap_or_else(|| fallback.probes.clone()),
    };
    let asks_us = |probe: &ProbeConfig| probe.from == Viewpoint::Controller;
    if proof.acknowledge == Acknowledge::No && proof.probes.iter().any(asks_us) {
        table.mistake(Problem::new(
            "a probe looks from the controller, and the host does not wait for it",
            "with acknowledge = \"none\" the host judges alone",
            "set acknowledge = \"same-route\", or leave out from = \"controller\"",
        ));
    }
    table.finish();
    proof
}

fn ignored_units(table: &mut Section<'_>) -> Option<Vec<String>> {
    const KEY: &str = "ignored_units";
    let elements = table.list(KEY)?;
    let read = |element| match unit_pattern(Given::Toml(element)) {
        Ok(unit) => Some(unit),
        Err(problem) => {
            table.mistake_in(KEY, element, problem);
            None
        }
    };
    Some(elements.iter().filter_map(read).collect())
}

/// `None` where there is no list, or a mistake is noted.
fn probes(table: &mut Section<'_>) -> Option<Vec<ProbeConfig>> {
    const KEY: &str = "probes";
    let elements = table.list(KEY)?;
    let mut probes: Vec<ProbeConfig> = Vec::new();
    for element in elements {
        let Some(probe) = probe(table.inline(KEY, element)) else {
            continue;
        };
        if probes.iter().any(|other| other.name == probe.name) {
            table.mistake_in(
                KEY,
                element,
                Problem::new(
                    format!("there are two probes {}", quoted(&probe.name)),
                    "nobody could tell which of them failed",
                    "give one of them another name",
                ),
            );
        }
        probes.push(probe);
    }
    Some(probes)
}

fn probe(mut table: Section<'_>) -> Option<ProbeConfig> {
    let name = table.required("name", name);
    let command = table
        .list("command")
        .map(|elements| command(&table, elements));
    let unit = table.optional("unit", unit).map(ProbeKind::Unit);
    let tcp = table.optional("tcp", tcp);
    let http = table.optional("http", http).map(ProbeKind::Http);
    let kinds = ["command", "unit", "tcp", "http"];
    let given = kinds.iter().filter(|kind| table.has(kind)).count();
    if given != 1 {
        table.mistake(Problem::new(
            format!("the probe looks at {}", if given == 0 { "nothing" } else { "several things" }),
            "a probe is one thing that has to succeed",
            "write exactly one of command = [\"…\"], unit = \"…\", tcp = \"host:port\" and http = \"https://…\"",
        ));
    }
    const FROM: [(&str, Viewpoint); 2] = [
        ("host", Viewpoint::Host),
        ("controller", Viewpoint::Controller),
    ];
    let from = table.or("from", choice(&FROM), Viewpoint::Host);
    if from == Viewpoint::Controller && (table.has("command") || table.has("unit")) {
        table.mistake(Problem::new(
            "the probe asks the controller for something of the host",
            "a command and a unit are looked at on the host",
            "leave `from` out, or write tcp = \"host:port\" or http = \"https://…\"",
        ));
    }
    let probe = ProbeConfig {
        name: name?,
        what: command.flatten().or(unit).or(tcp).or(http)?,
        from,
        attempts: table.or("attempts", integer(1..=MOST_ATTEMPTS), ATTEMPTS),
        pause: table.or("pause", duration(Duration::ZERO), PAUSE),
        timeout: table.or("timeout", duration(SECOND), PROBE_TIMEOUT),
    };
    table.finish();
    Some(probe)
}

fn name(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if written.chars().all(is_plain) {
        return Ok(written);
    }
    Err(Problem::new(
        format!("{} cannot be the name of a probe", quoted(&written)),
        "it has letters, digits, `-`, `_` and `.` only",
        "write it as in \"web-answers\"",
    ))
}

fn command(table: &Section<'_>, elements: &[Value<'_>]) -> Option<ProbeKind> {
    let mut words = Vec::new();
    if let [only] = elements
        && let Some(line) = only.as_str()
        && line.contains(' ')
    {
        table.mistake_in(
            "command",
            only,
            Problem::new(
                format!("{} is one word of a command", quoted(line)),
                "no shell takes it apart: a program of that name is looked for",
                "write a word each, as in [\"mountpoint\", \"/data\"]",
            ),
        );
        return None;
    }
    for element in elements {
        match text(Given::Toml(element)).and_then(one_line) {
            Ok(word) => words.push(word),
            Err(problem) => table.mistake_in("command", element, problem),
        }
    }
    (words.len() == elements.len()).then_some(ProbeKind::Command(words))
}

fn one_line(word: String) -> Result<String, Problem> {
    if word.contains(char::is_control) {
        return Err(Problem::new(
            format!("{} has a control character", quoted(&word)),
            "an argument is on one line",
            "put what is longer into a script on the host, and name that",
        ));
    }
    Ok(word)
}

/// As systemd.unit(5) has names: no white space, no slash, with a suffix.
/// A name of a unit, or a pattern of names as systemctl(1) has them.
fn unit_pattern(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    unit_of(&written, ":-_.\\@*?[]!")
}

fn unit(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    unit_of(&written, ":-_.\\@")
}

fn unit_of(written: &str, more: &str) -> Result<String, Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    if written.contains('.') && written.chars().all(is_plain) {
        return Ok(written.to_owned());
    }
    Err(Problem::new(
        format!("{} is not the name of a unit", quoted(written)),
        format!("it needs its suffix, and has letters, digits and `{more}` only"),
        "write it as in \"nginx.service\"",
    ))
}

fn tcp(given: Given<'_>) -> Result<ProbeKind, Problem> {
    let written = text(given)?;
    let parts = written.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok()?))
    });
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.%".contains(c);
    match parts {
        Some((host, port)) if !host.is_empty() && port != 0 && host.chars().all(is_plain) => {
            Ok(ProbeKind::Tcp { host, port })
        }
        _ => Err(Problem::new(
            format!("{} is not a host and a port", quoted(&written)),
            "a probe connects to it",
            "write it as in \"localhost:443\"",
        )),
    }
}

fn http(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    let problem = |why: &str| {
        Problem::new(
            format!("{} cannot be asked for", quoted(&written)),
            why,
            "write it as in \"https://localhost/health\"",
        )
    };
    let url = url::Url::parse(&written).map_err(|error| problem(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.password().is_none() => Ok(url.into()),
        "http" | "https" => Err(problem("a secret never stands in this file")),
        _ => Err(problem("it is neither http nor https")),
    }
}
