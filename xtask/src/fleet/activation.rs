//! What a host notes of its activations.

/// One line of a host's activation log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// `switch`, `test`, `boot`, `check` or `dry-activate`.
    pub action: String,
    /// The toplevel that was activated.
    pub toplevel: String,
    /// `begin`, `end <exit code>`, `hang <where>`, or what went wrong.
    pub event: String,
}

impl Activation {
    /// Reads a line of the log.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ').skip(1).map(str::to_owned);
        Some(Self {
            action: words.next()?,
            toplevel: words.next()?,
            event: words.next()?,
        })
    }
}

/// How many activations of a toplevel by one action began.
#[must_use]
pub fn count_begun(activations: &[Activation], action: &str, toplevel: &str) -> usize {
    activations
        .iter()
        .filter(|one| one.action == action && one.toplevel == toplevel && one.event == "begin")
        .count()
}
