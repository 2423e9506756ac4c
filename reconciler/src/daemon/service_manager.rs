//! What systemd is told of us (sd_notify(3)), where it has started us with `Type=notify`; elsewhere nobody hears it.
//!
//! `RELOADING=1` is not among it: a changed config is taken up without anybody asking, and at once.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::config::Config;
use crate::controller::runner::BETWEEN_TURNS;

/// How often the loop has to turn: twice in the time after which systemd's watchdog bites, as sd_watchdog_enabled(3)
/// recommends, and at least as often as it does anyway.
pub fn turn_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(BETWEEN_TURNS, |limit| BETWEEN_TURNS.min(limit / 2))
}

/// What systemd has been told so far.
#[derive(Debug, Default)]
pub struct ServiceManager {
    status: Option<String>,
}

impl ServiceManager {
    /// The loop has turned. The first turn says that we are ready, each that we are alive, and what we do where that
    /// has changed.
    pub fn turned(&mut self, config: &Config) {
        let status = status(config.hosts.len(), config.repositories.len());
        if self.status.as_ref() == Some(&status) {
            return tell(&[NotifyState::Watchdog]);
        }
        let news = NotifyState::Status(&status);
        match self.status {
            None => tell(&[NotifyState::Ready, news, NotifyState::Watchdog]),
            Some(_) => tell(&[news, NotifyState::Watchdog]),
        }
        self.status = Some(status);
    }
}

/// We are about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows.
fn status(hosts: usize, repositories: usize) -> String {
    let counted = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    format!(
        "looking after {} of {}",
        counted(hosts, "host", "hosts"),
        counted(repositories, "repository", "repositories")
    )
}

fn tell(news: &[NotifyState<'_>]) {
    // Without $NOTIFY_SOCKET this does nothing. Who does not hear us acts by itself: systemd restarts us.
    if let Err(error) = sd_notify::notify(news) {
        tracing::debug!(%error, "systemd does not hear us");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_a_short_line_that_counts_rightly() {
        assert_eq!(status(3, 1), "looking after 3 hosts of 1 repository");
        assert_eq!(status(1, 2), "looking after 1 host of 2 repositories");
    }

    #[test]
    fn without_a_watchdog_the_loop_turns_as_often_as_it_does_anyway() {
        assert_eq!(turn_interval(), BETWEEN_TURNS);
    }
}
