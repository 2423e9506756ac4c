//! The table `[webhook]`: the receiver of Gitea's deliveries.

use std::time::Duration;

use crate::config::model::WebhookConfig;
use crate::config::reader::values::{Given, address, duration, integer, text};
use crate::config::reader::{PathRole, Problem, Section, quoted};

/// The largest body that may be set: a delivery is kept in memory while it is verified.
const LARGEST_BODY: u32 = 64 * 1024 * 1024;
/// The smallest body that may be set: no delivery of Gitea's is smaller.
const SMALLEST_BODY: u32 = 1024;

/// A delivery comes within seconds of its push, from a server under load a little later.
const DELIVERY_GRACE: Duration = Duration::from_secs(30);

/// Reads the table; `None` where nobody wrote it.
pub(super) fn webhook(mut table: Section<'_>) -> Option<WebhookConfig> {
    let config = WebhookConfig {
        listen: table.or("listen", address, ([127, 0, 0, 1], 9080).into()),
        path: table.or("path", hook_path, "/hook".to_owned()),
        secret_files: table.paths_at("secret_files", PathRole::WebhookSecret),
        body_limit: table
            .or(
                "body_limit",
                integer(SMALLEST_BODY..=LARGEST_BODY),
                5 * 1024 * 1024,
            )
            .into(),
        delivery_grace: table.or("delivery_grace", duration(Duration::ZERO), DELIVERY_GRACE),
    };
    let present = table.is_present();
    if present && !table.has("secret_files") {
        table.missing("secret_files");
    }
    table.finish();
    present.then_some(config)
}

/// A path of plain segments, without a slash at the end.
fn hook_path(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_path = written.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|segment| {
            !segment.is_empty() && segment.chars().all(plain) && segment.chars().any(|c| c != '.')
        })
    });
    if is_path {
        return Ok(written);
    }
    Err(Problem::new(
        format!("{} is not a path", quoted(&written)),
        "it begins with / and has names of letters, digits, -, ., _ and ~ between slashes, with none at the end",
        "write it as in \"/hook\"",
    ))
}
