//! A commit's signature, and what it signs.

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A signed commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The signature, armored, as the commit has it.
    pub(crate) signature: Vec<u8>,
    /// What was signed: the commit without the signature.
    pub(crate) payload: Vec<u8>,
    /// When the commit says that it was made. It is part of what was signed.
    pub(crate) committed_at: Timestamp,
}

/// Who can check a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `ssh-keygen -Y`.
    Ssh,
    /// `gpgv`.
    OpenPgp,
    /// Nobody here.
    Unknown,
}

impl Signed {
    /// Takes a commit apart; `None` if it is not signed.
    pub(crate) fn read(repository: &Repository, id: Oid) -> Result<Option<Self>, git2::Error> {
        let seconds = repository.find_commit(id)?.committer().when().seconds();
        let (signature, payload) = match repository.extract_signature(&id, None) {
            Ok(parts) => parts,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // ssh-keygen wants the line feed at the end, which the header's last line has not.
        let mut signature = signature.to_vec();
        if !signature.ends_with(b"\n") {
            signature.push(b'\n');
        }
        Ok(Some(Self {
            signature,
            payload: payload.to_vec(),
            // A date that is none is before every key's.
            committed_at: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
        }))
    }

    /// By its first line, as git tells them apart (gpg-interface.c).
    pub(super) fn format(&self) -> Format {
        let begins = |line: &str| self.signature.starts_with(line.as_bytes());
        if begins("-----BEGIN SSH SIGNATURE-----") {
            Format::Ssh
        } else if begins("-----BEGIN PGP SIGNATURE-----") || begins("-----BEGIN PGP MESSAGE-----") {
            Format::OpenPgp
        } else {
            Format::Unknown
        }
    }

    /// The commit's time as `ssh-keygen -O verify-time` takes it: in the zone of the machine, as it also
    /// reads the times of an allowed_signers file.
    pub(super) fn verify_time(&self) -> String {
        let local = self.committed_at.to_zoned(TimeZone::system());
        local.strftime("%Y%m%d%H%M%S").to_string()
    }
}
