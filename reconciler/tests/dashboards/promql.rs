//! What a query names, by a parser of PromQL.

use std::collections::BTreeSet;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, LabelModifier, VectorMatchCardinality, VectorSelector};

use crate::exported::{FROM_PROMETHEUS, Series};

/// Metrics and labels of a query.
#[derive(Debug, Default)]
pub struct Named {
    pub selectors: Vec<Selector>,
    /// Those of `by`, `on` and `group_left`.
    pub labels: BTreeSet<String>,
}

/// `metric{label="value"}`.
#[derive(Debug)]
pub struct Selector {
    pub metric: String,
    matchers: Vec<Matcher>,
}

impl Selector {
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.matchers.iter().map(|matcher| matcher.name.as_str())
    }

    /// Whether it takes a series; what Prometheus adds is as the query wants it.
    pub fn matches(&self, series: &Series) -> bool {
        self.matchers
            .iter()
            .filter(|matcher| !FROM_PROMETHEUS.contains(&matcher.name.as_str()))
            .all(|matcher| {
                let value = series.get(&matcher.name).map_or("", String::as_str);
                matcher.is_match(value)
            })
    }
}

/// Reads a query whose Grafana variables are filled in.
pub fn named(query: &str) -> Result<Named, String> {
    let mut named = Named::default();
    named.walk(&parser::parse(query)?);
    Ok(named)
}

impl Named {
    fn walk(&mut self, expression: &Expr) {
        match expression {
            Expr::Aggregate(aggregate) => {
                self.modifier(aggregate.modifier.as_ref());
                if let Some(parameter) = &aggregate.param {
                    self.walk(parameter);
                }
                self.walk(&aggregate.expr);
            }
            Expr::Unary(unary) => self.walk(&unary.expr),
            Expr::Binary(binary) => {
                if let Some(modifier) = &binary.modifier {
                    self.modifier(modifier.matching.as_ref());
                    if let VectorMatchCardinality::ManyToOne(labels)
                    | VectorMatchCardinality::OneToMany(labels) = &modifier.card
                    {
                        self.labels.extend(labels.labels.iter().cloned());
                    }
                }
                self.walk(&binary.lhs);
                self.walk(&binary.rhs);
            }
            Expr::Paren(paren) => self.walk(&paren.expr),
            Expr::Subquery(subquery) => self.walk(&subquery.expr),
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            Expr::Call(call) => {
                for argument in &call.args.args {
                    self.walk(argument);
                }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }

    fn modifier(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier {
            self.labels.extend(labels.labels.iter().cloned());
        }
    }

    fn select(&mut self, selector: &VectorSelector) {
        self.selectors.push(Selector {
            metric: selector.name.clone().unwrap_or_default(),
            matchers: selector.matchers.matchers.clone(),
        });
    }
}

#[test]
fn what_a_query_names_is_found_wherever_it_stands() {
    let query = "sum by (host) (rate(a{b=\"1\"}[5m] offset 1h)) / on (host) group_left (c) (d unless e) > bool 1";
    let named = named(query).unwrap();
    let metrics: Vec<&str> = named
        .selectors
        .iter()
        .map(|selector| selector.metric.as_str())
        .collect();
    assert_eq!(metrics, ["a", "d", "e"]);
    assert_eq!(named.selectors[0].labels().collect::<Vec<_>>(), ["b"]);
    assert_eq!(named.labels, ["c".to_owned(), "host".to_owned()].into());
    assert!(super::promql::named("sum(").is_err());
}
