//! One fetch through ssh, and the list in which libgit2's transport finds it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::command::SshCommand;
use crate::mirror::stop::Stop;

/// The scheme of the URLs that libgit2 hands to this transport.
pub(super) const SCHEME: &str = "reconcile-ssh";

/// The fetches under way, by their number.
static CALLS: Mutex<BTreeMap<u64, Arc<SshCall>>> = Mutex::new(BTreeMap::new());

/// The number of the next fetch.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// One fetch through ssh: what to run, when to end it, and what became of it.
pub(super) struct SshCall {
    pub(super) command: SshCommand,
    pub(super) stop: Arc<Stop>,
    pub(super) report: Mutex<SshReport>,
}

impl SshCall {
    /// The fetch whose URL this is, while it is under way.
    pub(super) fn of_url(url: &str) -> Option<Arc<Self>> {
        let number = url
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|number| number.parse().ok())?;
        CALLS.lock().get(&number).cloned()
    }
}

/// What became of the ssh process of a fetch.
#[derive(Debug, Default, Clone)]
pub(crate) struct SshReport {
    /// What ssh and the remote command wrote to standard error, the last 16 KiB of it.
    pub said: String,
    /// The exit status, if ssh ended by itself.
    pub status: Option<i32>,
    /// Why ssh could not be started.
    pub not_started: Option<String>,
}

/// A fetch that is entered in [`CALLS`] for as long as this value lives.
pub(crate) struct Registered {
    number: u64,
    call: Arc<SshCall>,
}

impl Registered {
    /// Enters a fetch that runs `command` until `stop` says to end.
    pub(crate) fn new(command: SshCommand, stop: Arc<Stop>) -> Self {
        let call = Arc::new(SshCall {
            command,
            stop,
            report: Mutex::default(),
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        CALLS.lock().insert(number, Arc::clone(&call));
        Self { number, call }
    }

    /// The URL by which libgit2 reaches this fetch.
    pub(crate) fn url(&self) -> String {
        format!("{SCHEME}://{}/", self.number)
    }

    /// What became of the ssh process, so far.
    pub(crate) fn report(&self) -> SshReport {
        self.call.report.lock().clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        CALLS.lock().remove(&self.number);
    }
}
