//! Environment variables that were meant to set a key, and set none.

use super::diagnostics::Origin;
use super::environment::PREFIX;
use super::nearest::did_you_mean;
use super::notes::Notes;
use super::problem::Problem;

/// Variables of ours that set no key: the file to read, and the command line's log filter.
const NOT_KEYS: [&str; 2] = ["RECONCILE_CONFIG", "RECONCILE_LOG"];

/// Notes every variable of ours that sets nothing. Its value is not repeated: it may be a secret.
pub fn refuse_unknown(notes: &Notes<'_>) {
    let known = notes.variables.borrow();
    let unknown = notes
        .environment
        .keys()
        .filter(|name| name.starts_with(PREFIX) && !known.contains(*name))
        .filter(|name| !NOT_KEYS.contains(&name.as_str()) && !is_service_link(name));
    for name in unknown {
        let candidates: Vec<&str> = known.iter().map(String::as_str).chain(NOT_KEYS).collect();
        let problem = Problem::new(
            "unknown variable",
            "every variable that begins with RECONCILE_ sets a key of the configuration, and this one sets none",
            did_you_mean(name, &candidates),
        );
        notes.mistake(Origin::Variable(name.clone()), problem);
    }
}

/// Whether Kubernetes made the variable for a service whose name begins with `reconcile`.
///
/// It gives every pod `{NAME}_SERVICE_HOST`, `{NAME}_SERVICE_PORT`, `{NAME}_SERVICE_PORT_{PORTNAME}` and the link
/// variables of Docker (`{NAME}_PORT`, `{NAME}_PORT_80_TCP`, `…_PROTO`, `…_PORT`, `…_ADDR`), unless
/// `enableServiceLinks` is false: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
fn is_service_link(name: &str) -> bool {
    let service = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_");
    let link = name
        .rsplit_once("_PORT_")
        .is_some_and(|(_, rest)| is_port(rest))
        || name.strip_suffix("_PORT").is_some_and(|name| {
            name.rsplit_once("_PORT_")
                .is_some_and(|(_, rest)| is_port(rest))
        });
    service || link || name.ends_with("_PORT")
}

/// Whether `text` is `80_TCP`, or that with `_PROTO` or `_ADDR`.
fn is_port(text: &str) -> bool {
    let text = text
        .strip_suffix("_PROTO")
        .or_else(|| text.strip_suffix("_ADDR"))
        .unwrap_or(text);
    text.split_once('_').is_some_and(|(number, protocol)| {
        number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_kubernetes_makes_for_our_own_service_are_known() {
        for name in [
            "RECONCILE_SERVICE_HOST",
            "RECONCILE_SERVICE_PORT",
            "RECONCILE_SERVICE_PORT_WEBHOOK",
            "RECONCILE_PORT",
            "RECONCILE_PORT_9080_TCP",
            "RECONCILE_PORT_9080_TCP_PROTO",
            "RECONCILE_PORT_9080_TCP_PORT",
            "RECONCILE_PORT_9080_TCP_ADDR",
            "RECONCILE_WEBHOOK_SERVICE_HOST",
            "RECONCILE_WEBHOOK_PORT_80_UDP_ADDR",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in [
            "RECONCILE_WEBHOOK_LISTEN",
            "RECONCILE_PORTS",
            "RECONCILE_PORT_X_TCP",
            "RECONCILE_SERVICE",
        ] {
            assert!(!is_service_link(name), "{name}");
        }
    }
}
