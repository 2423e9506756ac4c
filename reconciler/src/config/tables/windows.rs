//! The lists `windows` and `freezes`: when hosts may be changed without force.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use planning::maintenance::{Freeze, Weekdays, Window};
use toml_span::value::Value;

use crate::config::reader::values::{Given, text};
use crate::config::reader::{Problem, Section, nearest, quoted};

/// The days as systemd.time(7) spells them.
const DAYS: [(&str, &str, Weekday); 7] = [
    ("mon", "monday", Weekday::Monday),
    ("tue", "tuesday", Weekday::Tuesday),
    ("wed", "wednesday", Weekday::Wednesday),
    ("thu", "thursday", Weekday::Thursday),
    ("fri", "friday", Weekday::Friday),
    ("sat", "saturday", Weekday::Saturday),
    ("sun", "sunday", Weekday::Sunday),
];

/// The windows at `key`; an empty list is none, which means always. `None` where nothing is said.
pub(super) fn windows(table: &mut Section<'_>, key: &'static str) -> Option<Vec<Window>> {
    let elements = table.elements(key)?;
    Some(
        elements
            .iter()
            .filter_map(|element| window(table.inline(key, element)))
            .collect(),
    )
}

/// The freezes at `key`; an empty list is none. `None` where nothing is said.
pub(super) fn freezes(table: &mut Section<'_>, key: &'static str) -> Option<Vec<Freeze>> {
    let elements = table.elements(key)?;
    Some(
        elements
            .iter()
            .filter_map(|element| freeze(table.inline(key, element)))
            .collect(),
    )
}

fn window(mut table: Section<'_>) -> Option<Window> {
    if !table.is_present() {
        return None;
    }
    let days = days(&mut table);
    let from = table.required("from", time);
    let to = table.required("to", end_time);
    let time_zone = table.required("time_zone", time_zone);
    table.finish();
    Some(Window {
        days,
        from: from?,
        to: to?,
        time_zone: time_zone?,
    })
}

fn freeze(mut table: Section<'_>) -> Option<Freeze> {
    if !table.is_present() {
        return None;
    }
    let from = table.required("from", date_time);
    let to = table.required("to", date_time);
    let time_zone = table.required("time_zone", time_zone);
    let why = table.required("why", reason);
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        table.mistake(Problem::new(
            "the freeze ends before it begins",
            format!("it is from {from} to {to}"),
            "write the earlier time into `from`",
        ));
    }
    table.finish();
    Some(Freeze {
        from: from?,
        to: to?,
        time_zone: time_zone?,
        why: why?,
    })
}

/// All days where none are named, and where a mistake is noted.
fn days(table: &mut Section<'_>) -> Weekdays {
    const KEY: &str = "days";
    let Some(elements) = table.list(KEY) else {
        return Weekdays::ALL;
    };
    let read = |element: &Value<'_>| match some_days(Given::Toml(element)) {
        Ok(days) => days,
        Err(problem) => {
            table.mistake_in(KEY, element, problem);
            Vec::new()
        }
    };
    elements.iter().flat_map(read).collect()
}

/// A day, or days from one to another: `fri-mon` goes over the end of the week.
fn some_days(given: Given<'_>) -> Result<Vec<Weekday>, Problem> {
    let written = text(given)?;
    let day = |word: &str| {
        let word = word.trim();
        let is_it = |name: &str| word.eq_ignore_ascii_case(name);
        let found = DAYS
            .iter()
            .find(|(short, long, _)| is_it(short) || is_it(long));
        found.map(|(.., day)| *day)
    };
    let (first, last) = written.split_once('-').unwrap_or((&written, &written));
    match (day(first), day(last)) {
        (Some(first), Some(last)) => {
            let how_many = usize::from(first.until(last).unsigned_abs()) + 1;
            Ok(first.cycle_forward().take(how_many).collect())
        }
        _ => Err(Problem::new(
            format!("{} is not a day of the week", quoted(&written)),
            "it must be one of mon, tue, wed, thu, fri, sat, sun, or from one to another",
            "write it as in \"mon\" or \"mon-fri\"",
        )),
    }
}

fn time(given: Given<'_>) -> Result<Time, Problem> {
    let written = text(given)?;
    Time::strptime("%H:%M", &written).map_err(|_| {
        Problem::new(
            format!("{} is not a time of day", quoted(&written)),
            "it is hours and minutes, from 00:00 to 23:59",
            "write it as in \"02:00\"",
        )
    })
}

/// ISO 8601 calls the midnight at the end of a day 24:00.
fn end_time(given: Given<'_>) -> Result<Time, Problem> {
    match text(given)?.as_str() {
        "24:00" => Ok(Time::midnight()),
        _ => time(given),
    }
}

fn date_time(given: Given<'_>) -> Result<DateTime, Problem> {
    let written = text(given)?;
    // With the zone or an offset in it, one of the two would have to be ignored.
    let forms = [
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d",
    ];
    let read = |form: &&str| DateTime::strptime(form, &written).ok();
    forms.iter().find_map(read).ok_or_else(|| {
        Problem::new(
            format!("{} is not a date and a time", quoted(&written)),
            "it is a date of the calendar, and hours and minutes; the zone is in `time_zone`",
            "write it as in \"2026-12-20T00:00\"",
        )
    })
}

/// The system's own database knows the latest rules; the one that is built in helps where it has none.
fn time_zone(given: Given<'_>) -> Result<TimeZone, Problem> {
    let written = text(given)?;
    let built_in = TimeZoneDatabase::bundled();
    let found = TimeZone::get(&written).or_else(|_| built_in.get(&written));
    found
        .ok()
        .filter(|time_zone| !time_zone.is_unknown())
        .ok_or_else(|| {
            let names: Vec<String> = built_in.available().map(|name| name.to_string()).collect();
            let help = match nearest(&written, names.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "write it as in \"Europe/Berlin\", or \"UTC\"".to_owned(),
            };
            Problem::new(
                format!("{} is not a time zone", quoted(&written)),
                "the IANA time zone database has no such name",
                help,
            )
        })
}

fn reason(given: Given<'_>) -> Result<String, Problem> {
    let written = text(given)?;
    if written.contains(char::is_control) {
        return Err(Problem::new(
            format!("{} has a control character", quoted(&written)),
            "it is shown on one line wherever a host waits",
            "say it shorter",
        ));
    }
    Ok(written)
}
