//! What led to a goal, a deployment or a reboot.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use deploy::RebootReason;
use serde::{Deserialize, Serialize};

/// What led to something, as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Cause {
    /// The branch: a delivery, the timer, or that the config named another.
    Branch(desired_state::Cause),
    /// A person's order.
    Person {
        /// Who.
        by: String,
    },
    /// A person's pin.
    Pin {
        /// Who set it.
        by: String,
    },
    /// What is wanted is in quarantine.
    Quarantine,
    /// The system can only be booted: it is made the boot default first, and has not run by then.
    ForReboot,
    /// A reboot that is needed.
    Required {
        /// In what the booted system differs; empty where only a boot activates the system.
        reasons: Vec<RebootReason>,
    },
    /// As another version of this program put it.
    Other(String),
}

const PERSON: &str = "person ";
const PIN: &str = "pin by ";
const DELIVERY: &str = "delivery ";
const POLL: &str = "poll";
const CONFIGURATION: &str = "configuration";
const QUARANTINE: &str = "quarantine";
const FOR_REBOOT: &str = "reboot";
const REQUIRED: &str = "required";

impl From<desired_state::Cause> for Cause {
    fn from(cause: desired_state::Cause) -> Self {
        match cause {
            desired_state::Cause::Person(by) => Self::Person { by },
            cause => Self::Branch(cause),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(cause) => cause.fmt(f),
            Self::Person { by } => write!(f, "{PERSON}{by}"),
            Self::Pin { by } => write!(f, "{PIN}{by}"),
            Self::Quarantine => f.write_str(QUARANTINE),
            Self::ForReboot => f.write_str(FOR_REBOOT),
            Self::Required { reasons } if reasons.is_empty() => f.write_str(REQUIRED),
            Self::Required { reasons } => {
                let labels: Vec<&str> = reasons.iter().map(|one| one.label()).collect();
                write!(f, "{REQUIRED}: {}", labels.join(" "))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl FromStr for Cause {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let other = || Self::Other(text.to_owned());
        Ok(if let Some(by) = text.strip_prefix(PERSON) {
            Self::Person { by: by.to_owned() }
        } else if let Some(by) = text.strip_prefix(PIN) {
            Self::Pin { by: by.to_owned() }
        } else if let Some(id) = text.strip_prefix(DELIVERY) {
            id.parse().map_or_else(
                |_| other(),
                |id| Self::Branch(desired_state::Cause::Delivery(id)),
            )
        } else if let Some(rest) = text.strip_prefix(REQUIRED) {
            required(rest).map_or_else(other, |reasons| Self::Required { reasons })
        } else {
            match text {
                POLL => Self::Branch(desired_state::Cause::Poll),
                CONFIGURATION => Self::Branch(desired_state::Cause::Configuration),
                QUARANTINE => Self::Quarantine,
                FOR_REBOOT => Self::ForReboot,
                _ => other(),
            }
        })
    }
}

/// The reasons of `required: kernel initrd`, of which the first word has been taken.
fn required(rest: &str) -> Option<Vec<RebootReason>> {
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let find = |label: &str| {
        RebootReason::ALL
            .into_iter()
            .find(|one| one.label() == label)
    };
    rest.strip_prefix(": ")?.split(' ').map(find).collect()
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        text.parse().unwrap_or_else(|never| match never {})
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_back_as_it_was_written_and_an_unknown_one_is_kept() {
        let person = |by: &str| Cause::Person { by: by.into() };
        for (text, cause) in [
            ("poll", Cause::Branch(desired_state::Cause::Poll)),
            (
                "configuration",
                Cause::Branch(desired_state::Cause::Configuration),
            ),
            ("person ada", person("ada")),
            ("person ", person("")),
            ("pin by ada", Cause::Pin { by: "ada".into() }),
            ("quarantine", Cause::Quarantine),
            ("reboot", Cause::ForReboot),
            ("required", Cause::Required { reasons: vec![] }),
            (
                "required: kernel kernel-params",
                Cause::Required {
                    reasons: vec![RebootReason::Kernel, RebootReason::KernelParams],
                },
            ),
            (
                "required: the moon",
                Cause::Other("required: the moon".into()),
            ),
            (
                "a cause of the future",
                Cause::Other("a cause of the future".into()),
            ),
        ] {
            assert_eq!(Cause::from(text.to_owned()), cause);
            assert_eq!(cause.to_string(), text);
        }
        let delivery = desired_state::Cause::Delivery("6f1a".parse().unwrap());
        let text = Cause::from(delivery.clone()).to_string();
        assert_eq!(Cause::from(text), Cause::Branch(delivery));
    }
}
