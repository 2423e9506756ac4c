//! Reading the Prometheus text format (version 0.0.4), as much of it as tests ask for.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series' name, with `_bucket`, `_sum` or `_count` for histograms.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A scrape.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics(Vec<Sample>);

impl Metrics {
    /// Reads a scrape's text.
    ///
    /// # Errors
    /// When a line is not a sample and not a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| sample(line).with_context(|| format!("not a sample: {line}")))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Every sample of a name that has these labels, and maybe others.
    pub fn find<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        })
    }

    /// The first such sample's value.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.find(name, labels).next().map(|sample| sample.value)
    }

    /// All such samples together; 0 where there is none, for a counter that has not counted yet.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).map(|sample| sample.value).sum()
    }

    /// Every sample.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }
}

fn sample(line: &str) -> Option<Sample> {
    let Some(open) = line.find('{') else {
        let (name, rest) = line.split_once(' ')?;
        return Some(Sample {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            value: value(rest)?,
        });
    };
    let (name, rest) = line.split_at(open);
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_prefix('{')?;
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(label.trim().to_owned(), text);
        rest = after.trim_start_matches(',').trim_start();
    }
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value(rest.strip_prefix('}')?)?,
    })
}

/// A label's value up to its closing quote, and what comes after that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(index + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// A number, without the time that may follow it. Rust reads `NaN`, `+Inf` and `-Inf` as Prometheus writes them.
fn value(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_quotes_commas_and_braces_are_read_whole() -> Result<()> {
        let text = "# HELP a b\n# TYPE a counter\na{host=\"x\\\"y,}\\n\",result=\"ok\"} 2\nb 1e3\nc_bucket{le=\"+Inf\"} 7\n";
        let metrics = Metrics::parse(text)?;
        assert_eq!(metrics.value("a", &[("host", "x\"y,}\n")]), Some(2.0));
        assert_eq!(metrics.value("b", &[]), Some(1000.0));
        assert_eq!(metrics.value("c_bucket", &[("le", "+Inf")]), Some(7.0));
        assert_eq!(metrics.value("a", &[("host", "z")]), None);
        Ok(())
    }

    #[test]
    fn counters_of_several_labels_are_added() -> Result<()> {
        let metrics = Metrics::parse(
            "a{host=\"x\",r=\"1\"} 2\na{host=\"x\",r=\"2\"} 3\na{host=\"y\",r=\"1\"} 5\n",
        )?;
        assert!((metrics.sum("a", &[("host", "x")]) - 5.0).abs() < f64::EPSILON);
        assert!(metrics.sum("nothing", &[]).abs() < f64::EPSILON);
        Ok(())
    }
}
