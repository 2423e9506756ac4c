//! How a new system looks from the controller: the probes that are tried over the network before it is
//! acknowledged.

use std::time::Duration;

use deploy::FromOutside;
use planning::model::health_checks::{ProbeConfig, ProofConfig, Viewpoint};
use tokio::time::timeout;

use crate::context::ports::Hosts;
use crate::error_chain::error_chain;

/// Tries every probe that looks from here, in their order, until one has failed as often as it may.
pub async fn check(hosts: &dyn Hosts, config: &ProofConfig) -> FromOutside {
    for probe in &config.probes {
        if probe.from == Viewpoint::Controller && !succeeds(hosts, probe).await {
            return FromOutside::Failed {
                probe: probe.name.clone(),
            };
        }
    }
    FromOutside::Good
}

/// How long all that may take.
pub fn limit(config: &ProofConfig) -> Duration {
    let ours = |probe: &&ProbeConfig| probe.from == Viewpoint::Controller;
    let limit = |probe: &ProbeConfig| (probe.timeout + probe.pause) * probe.attempts;
    config.probes.iter().filter(ours).map(limit).sum()
}

async fn succeeds(hosts: &dyn Hosts, probe: &ProbeConfig) -> bool {
    for attempt in 1..=probe.attempts {
        let failed = match timeout(probe.timeout, hosts.probe(&probe.what)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error_chain(&error),
            Err(_) => format!("no answer within {:?}", probe.timeout),
        };
        tracing::debug!(
            probe = probe.name,
            attempt,
            error = failed,
            "a probe failed"
        );
        if attempt < probe.attempts {
            tokio::time::sleep(probe.pause).await;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use planning::model::health_checks::ProbeKind;

    use super::*;
    use crate::testing::context;

    /// Long beside an answer on a machine that runs everything else too; where it counts, time is simulated.
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn probe(what: ProbeKind) -> ProofConfig {
        ProofConfig {
            probes: vec![ProbeConfig {
                name: "web".into(),
                what,
                from: Viewpoint::Controller,
                attempts: 3,
                pause: Duration::from_millis(1),
                timeout: TIMEOUT,
            }],
            ..ProofConfig::built_in()
        }
    }

    /// How this looks from here, by the real port.
    async fn look(config: &ProofConfig) -> FromOutside {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path(), "[hosts.cyt-pi]").await;
        check(context.clients().hosts.as_ref(), config).await
    }

    fn failed() -> FromOutside {
        FromOutside::Failed {
            probe: "web".into(),
        }
    }

    /// Answers each connection with the next status; gives its port.
    async fn answers(statuses: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn a_port_that_accepts_is_good_and_a_closed_one_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = probe(ProbeKind::Tcp {
            host: "localhost".into(),
            port,
        });
        assert_eq!(look(&tcp).await, FromOutside::Good);
        drop(listener);
        assert_eq!(look(&tcp).await, failed());
    }

    #[tokio::test]
    async fn a_url_that_answers_at_last_is_good_and_one_that_never_does_well_is_named() {
        let port = answers(&["503 Starting", "500 Starting", "302 Found"]).await;
        let http = probe(ProbeKind::Http(format!("http://127.0.0.1:{port}/health")));
        assert_eq!(look(&http).await, FromOutside::Good);
        let port = answers(&["404 Not Found"; 3]).await;
        let http = probe(ProbeKind::Http(format!("http://127.0.0.1:{port}/health")));
        assert_eq!(look(&http).await, failed());
    }

    #[tokio::test]
    async fn what_never_answers_fails_in_its_time() {
        tokio::time::pause();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http = probe(ProbeKind::Http(format!("http://127.0.0.1:{port}/")));
        let began = tokio::time::Instant::now();
        assert_eq!(look(&http).await, failed());
        assert!(began.elapsed() < 3 * TIMEOUT + Duration::from_secs(2));
    }
}
