//! The program's own log, as lines of the story.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::Story;

/// Tells in a story what the program logs.
#[derive(Debug)]
pub struct Log {
    story: Arc<Story>,
    level: Level,
}

impl Log {
    /// All that is at least so important.
    pub fn new(story: Arc<Story>, level: Level) -> Self {
        Self { story, level }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && !metadata.is_span() && is_ours(metadata.target())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = event.metadata().level();
        let about = line.host.unwrap_or_else(|| "controller".to_owned());
        self.story
            .tell(&about, &format!("{level} {}{}", line.message, line.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What libraries log has line breaks, addresses and times of this machine in it.
fn is_ours(target: &str) -> bool {
    [
        "reconciler",
        "planning",
        "desired_state",
        "deploy",
        "webhook",
    ]
    .iter()
    .any(|ours| target.starts_with(ours))
}

#[derive(Default)]
struct Line {
    host: Option<String>,
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "host" => self.host = Some(format!("{value:?}")),
            name => {
                // Writing to a String does not fail.
                let _ = write!(self.fields, " {name}={value:?}");
            }
        }
    }
}
