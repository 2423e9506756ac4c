//! A Prometheus of one's own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::claim::{Claim, record_process};
use xtask::forge::free_port;
use xtask::http::{Address, get, request};
use xtask::process::tail;
use xtask::wait::wait_until;

/// How long it may take to be ready, and to see something: it scrapes once a second, but what it is to see may be a host
/// that has booted, for which the test bed gives it 2 minutes.
pub const SOON: Duration = Duration::from_secs(180);

/// How long a query may take.
const ANSWER: Duration = Duration::from_secs(20);

/// Runs until it is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    claim: Claim,
}

impl Prometheus {
    /// Scrapes `target` and evaluates `rules` every second.
    pub fn start(target: SocketAddr, rules: &str) -> Result<Self> {
        let claim = Claim::new()?;
        let folder = claim.directory();
        fs::write(folder.join("rules.yaml"), rules)?;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\n\
             scrape_configs: [{{job_name: reconcile, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        fs::write(folder.join("prometheus.yml"), config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = fs::File::create(folder.join("log"))?;
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot start prometheus")?;
        record_process(&folder, child.id())?;
        let prometheus = Self {
            child,
            address,
            claim,
        };
        let ready = || {
            Ok(get(&format!("http://{address}/-/ready"), ANSWER)
                .is_ok_and(|answer| answer.status == 200))
        };
        wait_until("prometheus to be ready", SOON, ready, |ready| *ready)
            .with_context(|| prometheus.last_words())?;
        Ok(prometheus)
    }

    /// What a query gives now: series, each with its last value.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        let body: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = format!("query={body}");
        let headers = [
            ("Host", self.address.to_string()),
            (
                "Content-Type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("Content-Length", body.len().to_string()),
            ("Connection", "close".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let url = Address::parse(&format!("http://{}/api/v1/query", self.address))?;
        let answer = request("POST", &url, &headers, body.as_bytes(), ANSWER)?;
        ensure!(answer.status == 200, "{query}: {}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body)?;
        let result = answer["data"]["result"].as_array();
        Ok(result.context("no result")?.clone())
    }

    /// The alerting rules that it has read.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = get(&format!("http://{}/api/v1/rules", self.address), ANSWER)?;
        let answer: Value = serde_json::from_str(&answer.body)?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        Ok(rules.flatten().cloned().collect())
    }

    /// The alerts that fire now, with their labels and words.
    pub fn firing(&self) -> Result<Vec<Value>> {
        let mut alerts = Vec::new();
        for rule in self.rules()? {
            let active = rule["alerts"].as_array().into_iter().flatten();
            alerts.extend(active.filter(|alert| alert["state"] == "firing").cloned());
        }
        Ok(alerts)
    }

    /// Waits until it has scraped the target twice from now on.
    pub fn scrape(&self) -> Result<()> {
        const SCRAPES: &str = "count_over_time(up[1h])";
        let count = || -> Result<f64> {
            let series = self.query(SCRAPES)?;
            let value = series
                .first()
                .and_then(|one| one["value"][1].as_str()?.parse().ok());
            Ok(value.unwrap_or(0.0))
        };
        let before = count()?;
        let twice_more = |now: &f64| *now >= before + 2.0;
        wait_until("two scrapes", SOON, count, twice_more).map(drop)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.claim.directory().join("log")).unwrap_or_default();
        format!("the log of prometheus ends:\n{}", tail(&log, 4_000))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
