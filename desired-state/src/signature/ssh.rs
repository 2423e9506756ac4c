//! Signatures by SSH keys, checked by `ssh-keygen -Y` as git does it (gpg-interface.c, verify_ssh_signed_buffer).

use std::ffi::OsStr;
use std::path::Path;

use super::commit::Signed;
use super::distrust::Distrust;
use super::program::{ProgramError, Said, run, scratch, shown_line};

const PROGRAM: &str = "ssh-keygen";
const PACKAGE: &str = "openssh-client";
/// What git signs under (ssh-keygen(1), `-n`), so that a signed file is no signed commit.
const NAMESPACE: &str = "git";
/// A key stands for a few names; a file that gives one thousands is no reason to start as many processes.
const AT_MOST_PRINCIPALS: usize = 16;

/// Why the signature is not trusted; `None` if it is.
pub(super) async fn check(
    signed: &Signed,
    allowed: &Path,
) -> Result<Option<Distrust>, ProgramError> {
    if let Err(error) = tokio::fs::File::open(allowed).await {
        return Err(ProgramError::File {
            file: allowed.to_owned(),
            said: error.to_string(),
        });
    }
    let file = scratch(&signed.signature)?;
    let signature = file.path().as_os_str();

    // Whether it is a signature of this commit at all, by whichever key.
    let whole = keygen(
        "check-novalidate",
        &["-n".as_ref(), NAMESPACE.as_ref(), "-s".as_ref(), signature],
        signed,
    )
    .await?;
    if !whole.yes() {
        return Ok(Some(Distrust::Bad {
            said: whole.complaint(),
        }));
    }
    let refusal = refusal(signed, signature, allowed).await?;
    Ok(refusal.map(|said| Distrust::NotAllowed {
        key: key(&whole.stdout),
        said,
        file: allowed.to_owned(),
    }))
}

/// Why the key is nobody's whom the file allows; `None` if it is somebody's.
async fn refusal(
    signed: &Signed,
    signature: &OsStr,
    allowed: &Path,
) -> Result<Option<String>, ProgramError> {
    let time = format!("-Overify-time={}", signed.verify_time());
    let looked_up: [&OsStr; 5] = [
        "-f".as_ref(),
        allowed.as_os_str(),
        "-s".as_ref(),
        signature,
        time.as_ref(),
    ];
    let found = keygen("find-principals", &looked_up, signed).await?;
    if !found.yes() {
        return Ok(Some(found.complaint()));
    }
    let mut refusal = found.complaint();
    for principal in found.stdout.lines().take(AT_MOST_PRINCIPALS) {
        let as_principal: [&OsStr; 4] = [
            "-I".as_ref(),
            principal.as_ref(),
            "-n".as_ref(),
            NAMESPACE.as_ref(),
        ];
        let verified = keygen("verify", &[&looked_up[..], &as_principal].concat(), signed).await?;
        if verified.yes() {
            return Ok(None);
        }
        refusal = verified.complaint();
    }
    Ok(Some(refusal))
}

async fn keygen(verb: &str, arguments: &[&OsStr], signed: &Signed) -> Result<Said, ProgramError> {
    let mut words: Vec<&OsStr> = vec!["-Y".as_ref(), verb.as_ref()];
    words.extend(arguments);
    run(PROGRAM, PACKAGE, &words, &signed.payload).await
}

/// The key in `Good "git" signature with ED25519 key SHA256:…`.
fn key(said: &str) -> String {
    let key = said
        .trim()
        .rsplit_once(" with ")
        .map(|(_, key)| shown_line(key));
    key.unwrap_or_else(|| "an SSH key".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_good_signature_is_named() {
        // OpenSSH 9.2.
        let said = "Good \"git\" signature with ED25519 key SHA256:/+dd136Gb+jcGONZWFx+sCYUO0ZeCFwvL0awlBfUdhA\n";
        assert_eq!(
            key(said),
            "ED25519 key SHA256:/+dd136Gb+jcGONZWFx+sCYUO0ZeCFwvL0awlBfUdhA"
        );
        assert_eq!(key(""), "an SSH key");
    }
}
