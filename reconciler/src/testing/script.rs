//! What a test has the outside do: a log of the calls, and what comes with one of them.

use std::any::Any;
use std::fmt::{self, Debug};
use std::time::Duration;

use parking_lot::Mutex;

/// The script of one test; every port goes by it.
#[derive(Default)]
pub struct Script {
    calls: Mutex<Vec<String>>,
    cues: Mutex<Vec<(&'static str, Cue)>>,
}

/// What comes with the next call that begins with some words.
enum Cue {
    /// This happens first.
    Happens(Box<dyn FnOnce() + Send>),
    /// It takes so long.
    Takes(Duration),
    /// It fails so.
    Fails(Box<dyn Any + Send>),
}

impl Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Script {
    /// When the next call that begins so comes, `what` happens first.
    pub fn at(&self, call: &'static str, what: impl FnOnce() + Send + 'static) {
        self.cue(call, Cue::Happens(Box::new(what)));
    }

    /// The next call that begins so takes so long.
    pub fn takes(&self, call: &'static str, time: Duration) {
        self.cue(call, Cue::Takes(time));
    }

    /// The next call that begins so fails.
    pub fn fails(&self, call: &'static str, error: impl Any + Send) {
        self.cue(call, Cue::Fails(Box::new(error)));
    }

    /// The calls since they were last asked for, in order.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock())
    }

    /// A call comes that nothing is cued for.
    pub fn note(&self, call: &str) {
        self.calls.lock().push(call.to_owned());
    }

    /// A call comes: what was cued for it follows.
    pub async fn call<E: Any>(&self, call: String) -> Result<(), E> {
        let cues = {
            let mut cues = self.cues.lock();
            let is_for_it = |(of, _): &mut (&str, Cue)| call.starts_with(*of);
            cues.extract_if(.., is_for_it).collect::<Vec<_>>()
        };
        self.note(&call);
        let mut failure = None;
        for (of, cue) in cues {
            match cue {
                Cue::Happens(what) => what(),
                Cue::Takes(time) => tokio::time::sleep(time).await,
                Cue::Fails(error) if failure.is_none() => failure = Some(error),
                // One call fails once; the next is for the next.
                later @ Cue::Fails(_) => self.cue(of, later),
            }
        }
        match failure {
            Some(error) => Err(*error.downcast().expect("an error of this port")),
            None => Ok(()),
        }
    }

    fn cue(&self, call: &'static str, cue: Cue) {
        self.cues.lock().push((call, cue));
    }
}
