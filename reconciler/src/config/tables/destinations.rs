//! The key `destinations`: the ways to a host, in the order in which they are tried.

use deploy::{Destination, Sudo};
use desired_state::HostName;
use toml_span::value::Value;

use crate::config::reader::values::{Given, boolean, text};
use crate::config::reader::{Problem, Section, did_you_mean, nearest, quoted};

/// The host's `destinations`, or its name where there are none; `None` once a mistake is noted.
pub(super) fn destinations(
    name: &HostName,
    table: &mut Section<'_>,
    default: Sudo,
) -> Option<Vec<Destination>> {
    const KEY: &str = "destinations";
    let Some(elements) = table.list(KEY) else {
        let by_name = Destination {
            address: name.to_string(),
            sudo: default,
        };
        return (!table.has(KEY)).then(|| vec![by_name]);
    };
    let mut destinations: Vec<Destination> = Vec::new();
    for element in elements {
        let Some(destination) = destination(table, element, default) else {
            continue;
        };
        if destinations
            .iter()
            .any(|other| other.address == destination.address)
        {
            let what = format!("{} stands twice", quoted(&destination.address));
            table.mistake_in(
                KEY,
                element,
                Problem::new(what, "it would be tried twice", "remove one of them"),
            );
        }
        destinations.push(destination);
    }
    (destinations.len() == elements.len()).then_some(destinations)
}

/// One way to reach a host: a text, or a table `{ ssh = "…", sudo = true }`.
fn destination<'a>(
    table: &Section<'a>,
    element: &'a Value<'a>,
    default: Sudo,
) -> Option<Destination> {
    const KEY: &str = "destinations";
    if element.as_table().is_some() {
        let mut inner = table.inline(KEY, element);
        let sudo = inner.or("sudo", sudo, default);
        let destination = inner.required("ssh", |given| address(given, sudo));
        inner.finish();
        return destination;
    }
    match address(Given::Toml(element), default) {
        Ok(destination) => Some(destination),
        Err(problem) => {
            table.mistake_in(KEY, element, problem);
            None
        }
    }
}

fn address(given: Given<'_>, sudo: Sudo) -> Result<Destination, Problem> {
    let written = text(given)?;
    Destination::new(&written, sudo).map_err(|_| {
        Problem::new(
            format!("{} cannot be an SSH destination", quoted(&written)),
            "it is one argument of ssh: without white space, and not beginning with `-`",
            "write an alias of the ssh_config, \"user@host\" or \"ssh://user@host:port\"",
        )
    })
}

/// Whether somebody becomes root by sudo, and for what.
pub(super) fn sudo(given: Given<'_>) -> Result<Sudo, Problem> {
    const EXCEPT_COPY: &str = "except-copy";
    match (boolean(given), text(given).as_deref()) {
        (Ok(true), _) => Ok(Sudo::Yes),
        (Ok(false), _) => Ok(Sudo::No),
        (Err(_), Ok(EXCEPT_COPY)) => Ok(Sudo::ExceptCopy),
        (Err(problem), Ok(written)) if nearest(written, [EXCEPT_COPY]).is_some() => {
            Err(problem.or(&did_you_mean(written, &[EXCEPT_COPY])))
        }
        (Err(problem), _) => Err(problem.or("\"except-copy\"")),
    }
}
