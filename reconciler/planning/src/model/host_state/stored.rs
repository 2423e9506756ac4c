//! How a host's state is stored: one flat JSON object, each part of it read by itself.
//!
//! A program of another version may have written what this one does not understand: another outcome, a field of
//! another form. That part is kept as it was written, and said; it never takes the rest along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::model::host_state::state::HostState;

const QUARANTINE: &str = "quarantine";
const REBOOT: &str = "reboot";
const MACHINE_ID: &str = "machine_id";
/// What a document without any parts is kept as.
const DAMAGED: &str = "damaged";

/// The parts that forbid a change of the host while they cannot be read.
const GUARDS: [&str; 4] = [QUARANTINE, REBOOT, MACHINE_ID, DAMAGED];

/// The parts of a host of which nothing is remembered: the names that this version knows, and what stands for none.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(|| parts_of(&HostState::default()));

/// A host's state as it was stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredState {
    /// What is understood of it.
    pub state: HostState,
    /// What is not.
    pub unread: Unread,
}

/// The parts of a stored state that this version does not understand, as they were written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unread(BTreeMap<String, Value>);

impl StoredState {
    /// Reads a stored state; `Err` is what is wrong with a document that is no JSON object at all.
    ///
    /// # Errors
    /// When it is damaged: nothing of it can be told.
    pub fn read(document: &str) -> Result<Self, serde_json::Error> {
        let names: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_str(document)?;
        let whole = serde_json::from_str::<HostState>(document);
        let is_whole = whole.is_ok();
        // As it nearly always is.
        if let Ok(state) = whole
            && names.keys().all(|name| NOTHING.contains_key(&**name))
        {
            return Ok(Self {
                state,
                unread: Unread::default(),
            });
        }
        let told: Map<String, Value> = serde_json::from_str(document)?;
        let mut understood = Map::new();
        let mut unread = BTreeMap::new();
        for (name, value) in told {
            if NOTHING.contains_key(&name) && (is_whole || is_understood(&name, &value)) {
                understood.insert(name, value);
            } else {
                unread.insert(name, value);
            }
        }
        Ok(Self {
            state: serde_json::from_value(Value::Object(understood))?,
            unread: Unread(unread),
        })
    }

    /// Of a document that is damaged: it is kept as it is, and guards its host.
    pub fn damaged(document: &str) -> Self {
        let whole = (DAMAGED.to_owned(), Value::String(document.to_owned()));
        Self {
            state: HostState::default(),
            unread: Unread(BTreeMap::from([whole])),
        }
    }

    /// The document to store: what is understood as it is now, what is not as it was written, unless the state has
    /// come by a part of its own since.
    pub fn document(&self) -> String {
        let mut parts = parts_of(&self.state);
        for (name, value) in &self.unread.0 {
            // A machine id is that of the first contact, and that is past: what was learned since may be another's.
            let has_its_own = name != MACHINE_ID && parts.get(name) != NOTHING.get(name);
            if !has_its_own {
                parts.insert(name.clone(), value.clone());
            }
        }
        Value::Object(parts).to_string()
    }
}

/// The parts of a state, by their names in the document.
fn parts_of(state: &HostState) -> Map<String, Value> {
    // Plain data with string keys always has a JSON form.
    match serde_json::to_value(state) {
        Ok(Value::Object(parts)) => parts,
        _ => Map::new(),
    }
}

/// Whether this version can read a part of a document.
fn is_understood(name: &str, value: &Value) -> bool {
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    serde_json::from_value::<HostState>(Value::Object(alone)).is_ok()
}

impl Unread {
    /// The names of the parts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether everything is understood.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part that keeps the host from being changed, if one does: a quarantine, a reboot or a machine id that this
    /// version cannot tell from none.
    pub fn guard(&self) -> Option<&'static str> {
        GUARDS.into_iter().find(|name| self.0.contains_key(*name))
    }

    /// Whether a reboot is told of in a way that this version does not understand: it may be under way.
    pub fn has_a_reboot(&self) -> bool {
        self.0.contains_key(REBOOT)
    }

    /// Forgets what guards the host: a person has said `--force`.
    pub fn lift_guards(&mut self) {
        for name in GUARDS {
            self.0.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
