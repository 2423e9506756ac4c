//! Waiting for a condition, never sleeping and hoping.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at: short beside an SSH round trip, long beside reading a file.
const PAUSE: Duration = Duration::from_millis(50);

/// What a look at the world found.
#[derive(Debug)]
pub enum Seen<T, S> {
    /// The condition holds; this is what the waiter wants of it.
    Yes(T),
    /// Not yet; this is what was seen instead, and is printed when the deadline passes.
    NotYet(S),
}

/// Looks until the condition holds, and returns what it gave.
///
/// A look that fails is one that has not seen it yet: hosts, daemons and files come and go while one waits for them.
///
/// # Errors
/// When the deadline passes: the error says what was waited for, how long, and what was seen last.
pub fn wait_for<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Seen<T, S>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match look() {
            Ok(Seen::Yes(value)) => return Ok(value),
            Ok(Seen::NotYet(state)) => format!("{state:#?}"),
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() >= deadline {
            bail!("waited {deadline:?} for {what}; last seen: {last}");
        }
        thread::sleep(PAUSE);
    }
}

/// Looks at a state until `holds` is true of it, and returns that state.
///
/// ```
/// # use std::time::Duration;
/// let mut count = 0;
/// let seen = xtask::wait::wait_until("three looks", Duration::from_secs(5), || { count += 1; Ok(count) }, |n| *n == 3);
/// assert_eq!(seen.unwrap(), 3);
/// ```
///
/// # Errors
/// As [`wait_for`].
pub fn wait_until<S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<S>,
    holds: impl Fn(&S) -> bool,
) -> Result<S> {
    wait_for(what, deadline, || {
        let state = look()?;
        Ok(if holds(&state) {
            Seen::Yes(state)
        } else {
            Seen::NotYet(state)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_deadline_tells_what_was_seen_last() {
        let error = wait_until(
            "rain",
            Duration::from_millis(60),
            || Ok("sunshine"),
            |_| false,
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("rain") && text.contains("sunshine"), "{text}");
    }

    #[test]
    fn a_failed_look_is_told_when_it_was_the_last() {
        let look = || -> Result<u8> { bail!("the door is shut") };
        let text = wait_until("an open door", Duration::ZERO, look, |_| true)
            .unwrap_err()
            .to_string();
        assert!(text.contains("the door is shut"), "{text}");
    }
}
