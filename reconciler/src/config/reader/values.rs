//! How a single value is read: each function takes what was given and returns it typed, or says what is wrong.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::SpanRelativeTo;
use toml_span::value::Value;

use super::nearest::did_you_mean;
use super::problem::{Problem, quoted};

/// A second: whatever happens more often than that, or is given less time, is a slip of the unit.
pub const SECOND: Duration = Duration::from_secs(1);

/// The longest duration that is taken: a year. More is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a duration is written, for messages.
const DURATION_HELP: &str =
    "write a number and a unit (ms, s, m, h, d), such as \"60s\", \"5m\", \"1h 30m\" or \"7d\"";

/// A value as it was given: in the file, or as text in the environment.
#[derive(Clone, Copy)]
pub enum Given<'v> {
    Toml(&'v Value<'v>),
    Text(&'v str),
}

/// What kind of value stands there, for messages.
pub fn type_of(value: &Value<'_>) -> String {
    let name = value.as_ref().type_str();
    let article = if name.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

impl Given<'_> {
    fn wanted(self, expected: &str, help: &str) -> Problem {
        match self {
            Given::Toml(value) => Problem::new(
                format!("{expected} is expected, not {}", type_of(value)),
                "the type is wrong",
                help,
            ),
            Given::Text(value) => Problem::new(
                format!("{expected} is expected, not {}", quoted(value)),
                "the type is wrong",
                help,
            ),
        }
    }

    /// A number where something more is expected, with or without quotes.
    fn bare_number(self) -> Option<f64> {
        let number = |text: &str| text.trim().parse().ok();
        match self {
            Given::Toml(value) => value
                .as_float()
                .or_else(|| value.as_integer().map(|value| value as f64))
                .or_else(|| value.as_str().and_then(number)),
            Given::Text(value) => number(value),
        }
    }

    pub fn integer(self) -> Option<i64> {
        match self {
            Given::Toml(value) => value.as_integer(),
            Given::Text(value) => value.trim().parse().ok(),
        }
    }
}

/// A text that is not empty.
pub fn text(given: Given<'_>) -> Result<String, Problem> {
    let value = match given {
        Given::Text(value) => value,
        Given::Toml(value) => value
            .as_str()
            .ok_or_else(|| given.wanted("a text", "write it in quotes"))?,
    };
    match value {
        "" => Err(Problem::new(
            "the text is empty",
            "it means nothing",
            "write a value, or remove the key",
        )),
        value if value.contains('\0') => Err(Problem::new(
            "the text holds a NUL character",
            "neither a path nor an argument can hold one",
            "remove it",
        )),
        value => Ok(value.to_owned()),
    }
}

/// `true` or `false`.
pub fn boolean(given: Given<'_>) -> Result<bool, Problem> {
    let value = match given {
        Given::Toml(value) => value.as_bool(),
        Given::Text(value) => value.parse().ok(),
    };
    value.ok_or_else(|| {
        given.wanted(
            "true or false",
            "write true or false, without quotes in the file",
        )
    })
}

/// A whole number within `range`.
pub fn integer(range: RangeInclusive<u32>) -> impl Fn(Given<'_>) -> Result<u32, Problem> {
    move |given| {
        let help = format!(
            "write a whole number from {} to {}",
            range.start(),
            range.end()
        );
        let value = given
            .integer()
            .ok_or_else(|| given.wanted("a whole number", &help))?;
        match u32::try_from(value) {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => Err(out_of_range(value, range.start(), range.end(), help)),
        }
    }
}

/// A whole number within `range`, as a count of things.
pub fn count(range: RangeInclusive<u32>) -> impl Fn(Given<'_>) -> Result<usize, Problem> {
    let integer = integer(range);
    move |given| integer(given).map(|value| value as usize)
}

/// A number within `range`; the file may write it without a decimal point.
pub fn number(range: RangeInclusive<f64>) -> impl Fn(Given<'_>) -> Result<f64, Problem> {
    move |given| {
        let help = format!("write a number from {} to {}", range.start(), range.end());
        let value = match given {
            Given::Toml(value) => value
                .as_float()
                .or_else(|| value.as_integer().map(|value| value as f64)),
            Given::Text(value) => value.trim().parse().ok(),
        };
        match value.ok_or_else(|| given.wanted("a number", &help))? {
            // Not a number (`nan`) is in no range.
            value if range.contains(&value) => Ok(value),
            value => Err(out_of_range(value, range.start(), range.end(), help)),
        }
    }
}

/// A duration of at least `shortest`, at most [`LONGEST`], in jiff's friendly form (`1h 30m`); a day has
/// 24 hours.
pub fn duration(shortest: Duration) -> impl Fn(Given<'_>) -> Result<Duration, Problem> {
    move |given| {
        if let Some(bare) = given.bare_number() {
            return Err(Problem::new(
                format!("`{bare}` has no unit"),
                "seconds, minutes and hours look alike",
                format!("for seconds write \"{bare}s\"; {DURATION_HELP}"),
            ));
        }
        let written = text(given)?;
        let parsed = jiff::fmt::friendly::SpanParser::new()
            .parse_span(&written)
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|error| {
                Problem::new(
                    format!("{} is not a duration", quoted(&written)),
                    error.to_string(),
                    DURATION_HELP,
                )
            })?;
        match Duration::try_from(parsed) {
            Ok(value) if (shortest..=LONGEST).contains(&value) => Ok(value),
            _ => Err(out_of_range(
                quoted(&written),
                spoken(shortest),
                spoken(LONGEST),
                DURATION_HELP.to_owned(),
            )),
        }
    }
}

/// A duration as a person writes it.
fn spoken(value: Duration) -> String {
    jiff::SignedDuration::try_from(value)
        .map_or_else(|_| format!("{value:?}"), |value| format!("{value:#}"))
}

fn out_of_range(
    value: impl Display,
    least: impl Display,
    most: impl Display,
    help: String,
) -> Problem {
    Problem::new(
        format!("{value} is out of range"),
        format!("it must be from {least} to {most}"),
        help,
    )
}

/// An address with its port.
pub fn address(given: Given<'_>) -> Result<SocketAddr, Problem> {
    let written = text(given)?;
    written.parse().map_err(|_| {
        let why = match written.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_err() => format!(
                "{} is no port, 0 to 65535, after {}",
                quoted(port),
                quoted(host)
            ),
            Some((host, _)) => {
                format!("{} is no IP address; names are not looked up", quoted(host))
            }
            None => "the port is missing".to_owned(),
        };
        Problem::new(
            format!("{} is not an address", quoted(&written)),
            why,
            "write IP:PORT, such as \"127.0.0.1:9080\", \"0.0.0.0:9080\" or \"[::]:9080\"",
        )
    })
}

/// An address, or `off` for none.
pub fn address_or_off(given: Given<'_>) -> Result<Option<SocketAddr>, Problem> {
    match text(given)?.as_str() {
        "off" => Ok(None),
        _ => address(given)
            .map(Some)
            .map_err(|problem| problem.or("\"off\" for none")),
    }
}

/// One of a few words.
pub fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(Given<'_>) -> Result<T, Problem> {
    move |given| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let written = text(given)?;
        let found = choices
            .iter()
            .find(|(word, _)| *word == written)
            .map(|(_, value)| *value);
        found.ok_or_else(|| {
            Problem::new(
                format!("{} is not one of the choices", quoted(&written)),
                format!("it must be one of: {}", words.join(", ")),
                did_you_mean(&written, &words),
            )
        })
    }
}

/// A text that its own type checks; `example` shows a right one.
pub fn checked<T>(example: &'static str) -> impl Fn(Given<'_>) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    move |given| {
        let written = text(given)?;
        written.parse().map_err(|error: T::Err| {
            Problem::new(
                format!("{} does not do", quoted(&written)),
                error.to_string(),
                format!("write it as in {example}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostics::Origin;
    use super::*;

    /// The message of a refusal.
    fn message<T>(result: Result<T, Problem>) -> Option<String> {
        let refusal = result.err()?;
        Some(refusal.at(Origin::Variable("V".to_owned())).to_string())
    }

    fn secs(written: &str) -> Result<Duration, Problem> {
        duration(SECOND)(Given::Text(written))
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (written, seconds) in [
            ("60s", 60),
            ("5m", 300),
            ("1h 30m", 5400),
            ("1h30m", 5400),
            ("2 hours", 7200),
            ("90 minutes", 5400),
            ("1d 1h", 90_000),
            ("2 weeks", 1_209_600),
        ] {
            assert_eq!(
                secs(written).ok(),
                Some(Duration::from_secs(seconds)),
                "{written}"
            );
        }
        assert_eq!(secs("1500ms").ok(), Some(Duration::from_millis(1500)));
        for written in [
            "", "60", "s", "5 m s", "-5s", "5s ago", "0s", "999ms", "9000h", "1mo", "1y", "PT5M",
            "soon", "1e3s",
        ] {
            assert!(secs(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_duration_without_unit_is_told_how_to_say_seconds() {
        let message = message(secs("60")).unwrap();
        assert!(
            message.contains("\"60s\"") && message.contains("1h 30m"),
            "{message}"
        );
    }

    #[test]
    fn numbers_out_of_range_and_not_a_number_are_refused() {
        let share = number(0.0..=1.0);
        assert_eq!(share(Given::Text("0.5")).ok(), Some(0.5));
        assert_eq!(share(Given::Text("1")).ok(), Some(1.0));
        for written in ["1.1", "-0.1", "nan", "inf", "half"] {
            assert!(share(Given::Text(written)).is_err(), "{written}");
        }
        let sessions = integer(1..=10);
        assert_eq!(sessions(Given::Text("10")).ok(), Some(10));
        for written in ["0", "11", "-1", "1.0", "99999999999999999999"] {
            assert!(sessions(Given::Text(written)).is_err(), "{written}");
        }
    }

    #[test]
    fn an_address_says_which_part_is_wrong() {
        let said = |written: &str| message(address(Given::Text(written)));
        assert_eq!(said("127.0.0.1:9080"), None);
        assert_eq!(said("[::1]:9080"), None);
        assert!(said("127.0.0.1").unwrap().contains("the port is missing"));
        assert!(said("localhost:9080").unwrap().contains("no IP address"));
        assert!(said("127.0.0.1:99999").unwrap().contains("no port"));
        assert_eq!(address_or_off(Given::Text("off")).ok(), Some(None));
        let message = message(address_or_off(Given::Text("of"))).unwrap();
        assert!(message.contains("or \"off\" for none"), "{message}");
    }
}
