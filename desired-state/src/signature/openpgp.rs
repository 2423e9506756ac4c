//! Signatures by OpenPGP keys, checked by `gpgv`, which knows one keyring and no web of trust.

use std::path::Path;

use super::commit::Signed;
use super::distrust::Distrust;
use super::program::{ProgramError, run, scratch, shown_line};

const PROGRAM: &str = "gpgv";
const PACKAGE: &str = "gpgv (GnuPG)";

/// Why the signature is not trusted; `None` if it is.
pub(super) async fn check(
    signed: &Signed,
    keyring: &Path,
) -> Result<Option<Distrust>, ProgramError> {
    if let Err(error) = tokio::fs::File::open(keyring).await {
        return Err(ProgramError::File {
            file: keyring.to_owned(),
            said: error.to_string(),
        });
    }
    let signature = scratch(&signed.signature)?;
    let arguments = [
        "--status-fd".as_ref(),
        "1".as_ref(),
        "--keyring".as_ref(),
        // A name without a slash would be looked for in gpgv's home.
        keyring.as_os_str(),
        "--".as_ref(),
        signature.path().as_os_str(),
        "-".as_ref(),
    ];
    let said = run(PROGRAM, PACKAGE, &arguments, &signed.payload).await?;
    Ok(verdict(&said.stdout, keyring))
}

/// Reads gpgv's status lines (GnuPG, doc/DETAILS). Its exit code is 0 for a key that has expired, too.
fn verdict(status: &str, keyring: &Path) -> Option<Distrust> {
    let mut signatures = 0;
    let mut good = false;
    let mut refusal = None;
    for line in status.lines() {
        let Some(line) = line.strip_prefix("[GNUPG:] ") else {
            continue;
        };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let not_allowed = |said: &str| Distrust::NotAllowed {
            key: format!(
                "OpenPGP key {}",
                shown_line(rest.split(' ').next().unwrap_or_default())
            ),
            said: said.to_owned(),
            file: keyring.to_owned(),
        };
        match word {
            "NEWSIG" => signatures += 1,
            "GOODSIG" => good = true,
            "BADSIG" => {
                refusal = Some(Distrust::Bad {
                    said: shown_line(line),
                });
            }
            "EXPKEYSIG" => refusal = Some(not_allowed("the key has expired")),
            "EXPSIG" => refusal = Some(not_allowed("the signature has expired")),
            "REVKEYSIG" => refusal = Some(not_allowed("the key has been revoked")),
            "ERRSIG" => refusal = Some(not_allowed("")),
            _ => {}
        }
    }
    // Of two signatures only one need be good, and which is whose nobody says: git refuses that too.
    match refusal {
        Some(refusal) => Some(refusal),
        None if good && signatures == 1 => None,
        None => Some(Distrust::Bad {
            said: "gpgv finds no one good signature".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: gpgv 2.2.40.
    fn check(status: &str) -> String {
        match verdict(status, Path::new("/k")) {
            None => "good".to_owned(),
            Some(distrust) => format!("{distrust:?}"),
        }
    }

    #[test]
    fn only_one_good_signature_by_a_key_in_force_is_trusted() {
        let good = "[GNUPG:] NEWSIG a@b\n[GNUPG:] GOODSIG 5326662691176F15 A <a@b>\n[GNUPG:] VALIDSIG 44A1F6 2026-11-22\n";
        assert_eq!(check(good), "good");
        let expired = "[GNUPG:] NEWSIG old@b\n[GNUPG:] KEYEXPIRED 1591012800\n[GNUPG:] EXPKEYSIG 4DBD28ABF0183239 Old <old@b>\n[GNUPG:] VALIDSIG 97A51C 2020-03-01\n";
        assert!(
            check(expired).contains("the key has expired")
                && check(expired).contains("4DBD28ABF0183239")
        );
        let unknown = "[GNUPG:] NEWSIG old@b\n[GNUPG:] ERRSIG 4DBD28ABF0183239 22 8 00 1583020800 9 97A51C\n[GNUPG:] NO_PUBKEY 4DBD28ABF0183239\n";
        assert!(check(unknown).starts_with("NotAllowed"));
        let bad = "[GNUPG:] NEWSIG a@b\n[GNUPG:] BADSIG 5326662691176F15 A <a@b>\n";
        assert!(check(bad).starts_with("Bad"));
        for none in [
            "",
            "GOODSIG x",
            &format!("{good}{good}"),
            &format!("{good}{bad}"),
            &format!("{bad}{good}"),
        ] {
            assert_ne!(check(none), "good", "{none}");
        }
    }
}
