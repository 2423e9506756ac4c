//! The transport as libgit2 sees it.

use std::sync::OnceLock;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};

use super::call::{SCHEME, SshCall};
use super::child::SshStream;

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

/// One connection, one stream.
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
        let call = SshCall::of_url(url)
            .ok_or_else(|| git2::Error::from_str("no such fetch through ssh"))?;
        let stream = SshStream::start(call)
            .map_err(|error| git2::Error::from_str(&format!("ssh: {error}")))?;
        Ok(Box::new(stream))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(()) // The stream ends its process when libgit2 frees it.
    }
}
