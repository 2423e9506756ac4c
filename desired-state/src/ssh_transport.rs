//! Lets libgit2 fetch through the OpenSSH client.
//!
//! libgit2's own SSH reads neither `ssh_config` nor the known hosts as OpenSSH does, knows no `ProxyJump`, and its
//! waits cannot be ended. So this crate builds libgit2 without SSH and registers a transport of its own, under a
//! scheme of its own, [`SCHEME`]. libgit2 keeps its transports in one list for the whole process, and what it
//! passes to one is the URL and nothing else. Therefore every fetch enters its settings into [`CALLS`] under a
//! number that is never used twice, and fetches the URL `reconcile-ssh://NUMBER/`: two fetches at a time cannot
//! see one another's settings.

mod child;
mod command;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};

use crate::mirror::Stop;
pub(crate) use command::SshCommand;

/// The scheme of the URLs that libgit2 hands to this transport.
const SCHEME: &str = "reconcile-ssh";

/// The fetches under way, by their number.
static CALLS: Mutex<BTreeMap<u64, Arc<SshCall>>> = Mutex::new(BTreeMap::new());

/// The number of the next fetch.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// One fetch through ssh: what to run, when to end it, and what became of it.
pub(crate) struct SshCall {
    command: SshCommand,
    stop: Arc<Stop>,
    report: Mutex<SshReport>,
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
        lock(&CALLS).insert(number, Arc::clone(&call));
        Self { number, call }
    }

    /// The URL by which libgit2 reaches this fetch.
    pub(crate) fn url(&self) -> String {
        format!("{SCHEME}://{}/", self.number)
    }

    /// What became of the ssh process, so far.
    pub(crate) fn report(&self) -> SshReport {
        lock(&self.call.report).clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&CALLS).remove(&self.number);
    }
}

/// A thread that died while it held a lock left whole values behind: nothing here is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers the transport with libgit2, once in the life of the process. Every fetch of any kind has to pass here
/// first.
///
/// # Errors
///
/// libgit2 does not take the transport.
pub(crate) fn register() -> Result<(), git2::Error> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    REGISTERED
        .get_or_init(|| {
            // SAFETY: libgit2 keeps its transports in a list without a lock, so nothing may register or look up one
            // meanwhile. OnceLock lets one thread in and keeps the others waiting; only fetches look up transports,
            // and each comes here first.
            unsafe {
                git2::transport::register(SCHEME, |remote| {
                    Transport::smart(remote, false, SshTransport)
                })
            }
            .map_err(|error| error.message().to_owned())
        })
        .clone()
        .map_err(|message| git2::Error::from_str(&message))
}

/// The transport as libgit2 sees it: one connection, one stream.
struct SshTransport;

impl SmartSubtransport for SshTransport {
    fn action(
        &self,
        url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        // For a transport that is not RPC, git2 reuses the stream of the first action for the second.
        if service != Service::UploadPackLs {
            return Err(git2::Error::from_str("this transport only fetches"));
        }
        let number = url
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|number| number.parse().ok());
        let call = number.and_then(|number: u64| lock(&CALLS).get(&number).cloned());
        let call = call.ok_or_else(|| git2::Error::from_str("no such fetch through ssh"))?;
        let stream = child::SshStream::start(call)
            .map_err(|error| git2::Error::from_str(&format!("ssh: {error}")))?;
        Ok(Box::new(stream))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(()) // The stream ends its process when libgit2 frees it.
    }
}
