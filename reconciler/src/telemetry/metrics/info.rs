//! Series that are always 1, and whose labels say something that changes.

use std::collections::HashMap;

use desired_state::HostName;
use parking_lot::Mutex;
use prometheus::{IntGaugeVec, Registry};

use super::series::gauges;

/// At most one series a host, with the label `host` and `N` others. The labels of each host's series are remembered,
/// so that showing a host costs the same in a large fleet.
#[derive(Debug)]
pub(super) struct HostInfo<const N: usize> {
    series: IntGaugeVec,
    shown: Mutex<HashMap<HostName, [String; N]>>,
}

impl<const N: usize> HostInfo<N> {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> prometheus::Result<Self> {
        let labels: Vec<&str> = std::iter::once("host").chain(labels).collect();
        Ok(Self {
            series: gauges(registry, name, help, &labels)?,
            shown: Mutex::default(),
        })
    }

    /// Shows these values of the labels after `host`, or none. A series that stays is never away in between: a
    /// scrape at that instant would end an alert.
    pub(super) fn show(&self, host: &HostName, values: Option<[&str; N]>) {
        let mut shown = self.shown.lock();
        let before = shown.get(host);
        if before.map(|before| before.each_ref().map(String::as_str)) == values {
            return;
        }
        if let Some(before) = before {
            // Gone already is as good.
            let _ = self
                .series
                .remove_label_values(&labels(host, before.each_ref().map(String::as_str)));
        }
        match values {
            Some(values) => {
                self.series.with_label_values(&labels(host, values)).set(1);
                shown.insert(host.clone(), values.map(ToOwned::to_owned));
            }
            None => {
                shown.remove(host);
            }
        }
    }
}

fn labels<'a, const N: usize>(host: &'a HostName, values: [&'a str; N]) -> Vec<&'a str> {
    std::iter::once(host.as_ref()).chain(values).collect()
}
