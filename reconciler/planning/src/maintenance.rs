//! When hosts may be changed without force: windows that come back every week, and freezes. Pure, with time
//! as an argument.
//!
//! Both are told in the time that a clock on a wall of the place shows. An hour that the clocks skip in spring is in
//! no window, and one that they show twice in autumn is in it both times.

use std::fmt;
use std::time::Duration;

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// How far ahead a window is looked for, in days: it comes back after a week, or after two if the clocks skip it.
const AHEAD: i64 = 15;

/// A time of day on some weekdays, such as from 02:00 to 05:00 in Berlin on Mondays and Tuesdays.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// On which days it begins.
    pub days: Weekdays,
    /// When it begins; this time is in it.
    pub from: Time,
    /// When it ends; this time is not in it. One that is not after `from` is of the next day.
    pub to: Time,
    /// Whose clocks count.
    pub time_zone: TimeZone,
}

/// A span of time without changes, such as the days around new year.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// When it begins. Of a time that the clocks show twice it is the first.
    pub from: DateTime,
    /// When it ends, after `from`. Of a time that the clocks show twice it is the second.
    pub to: DateTime,
    /// Whose clocks count.
    pub time_zone: TimeZone,
    /// Why, for whoever has to wait for its end.
    pub why: String,
}

/// Whether a host may be changed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Openness {
    /// It may.
    Open,
    /// It may not.
    Closed {
        /// Why not, in words.
        reason: String,
        /// When it may again; `None` if no window opens for weeks.
        opens: Option<Timestamp>,
    },
}

impl Openness {
    /// How long it stays closed from `now` on, if it is closed and opens again.
    pub fn opens_in(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Open | Self::Closed { opens: None, .. } => None,
            Self::Closed {
                opens: Some(opens), ..
            } => Some(Duration::try_from(opens.duration_since(now)).unwrap_or(Duration::ZERO)),
        }
    }
}

/// Whether a host may be changed at `now`: in one of its windows, or at any time where it has none, and in no freeze.
pub fn open(windows: &[Window], freezes: &[Freeze], now: Timestamp) -> Openness {
    let frozen = lasting(freezes, now);
    let reason = match frozen {
        Some(freeze) => freeze.to_string(),
        None if is_in_a_window(windows, now) => return Openness::Open,
        None => outside(windows),
    };
    Openness::Closed {
        reason,
        opens: opens(windows, freezes, now),
    }
}

/// When it is open next: each freeze is passed once, and a window looked for after it.
fn opens(windows: &[Window], freezes: &[Freeze], now: Timestamp) -> Option<Timestamp> {
    let mut at = now;
    loop {
        if let Some(freeze) = lasting(freezes, at) {
            at = freeze.end()?;
        } else if is_in_a_window(windows, at) {
            return Some(at);
        } else {
            at = windows.iter().filter_map(|window| window.opens(at)).min()?;
        }
    }
}

/// Of the freezes that hold at `now`, the one that ends last.
fn lasting(freezes: &[Freeze], now: Timestamp) -> Option<&Freeze> {
    let holding = freezes.iter().filter(|freeze| freeze.holds(now));
    holding.max_by_key(|freeze| freeze.end())
}

fn is_in_a_window(windows: &[Window], now: Timestamp) -> bool {
    windows.is_empty() || windows.iter().any(|window| window.is_open(now))
}

fn outside(windows: &[Window]) -> String {
    let windows: Vec<String> = windows.iter().map(Window::to_string).collect();
    let which = if windows.len() == 1 {
        "its window"
    } else {
        "its windows"
    };
    format!("outside of {which}, {}", windows.join("; "))
}

impl Window {
    /// Whether `now` is in it: after midnight, a window over midnight is that of the day before.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let clock = self.time_zone.to_datetime(now);
        let (today, time) = (clock.date().weekday(), clock.time());
        if self.is_over_midnight() {
            let began_today = time >= self.from && self.days.contains(today);
            let began_yesterday = time < self.to && self.days.contains(today.previous());
            began_today || began_yesterday
        } else {
            (self.from..self.to).contains(&time) && self.days.contains(today)
        }
    }

    /// The first time at which it is open, `now` or later; `None` if that is weeks away.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(now) {
            return Some(now);
        }
        // It opens when a clock shows `from`, or when the clocks are changed to a time within it.
        let last = now.checked_add((AHEAD * 24).hours()).ok()?;
        let changes = self.time_zone.following(now);
        let changes = changes.map(|change| change.timestamp());
        let today = self.time_zone.to_datetime(now).date();
        let begins = (-1..=AHEAD).filter_map(|days| {
            let date = today.checked_add(days.days()).ok()?;
            let from = date.to_datetime(self.from);
            let from = self.time_zone.to_ambiguous_timestamp(from);
            Some([from.earlier().ok()?, from.later().ok()?])
        });
        changes
            .take_while(|change| *change <= last)
            .chain(begins.flatten())
            .filter(|at| *at > now && self.is_open(*at))
            .min()
    }

    fn is_over_midnight(&self) -> bool {
        self.to <= self.from
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.strftime("%H:%M"), self.to.strftime("%H:%M"));
        let time_zone = name(&self.time_zone);
        write!(f, "{} {from} to {to} {time_zone}", self.days)
    }
}

impl Freeze {
    /// Whether `now` is in it.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.begin().is_none_or(|begin| begin <= now) && self.end().is_some_and(|end| now < end)
    }

    /// Its first instant: rather an hour early than late, where the clocks are changed.
    fn begin(&self) -> Option<Timestamp> {
        let from = self.time_zone.to_ambiguous_timestamp(self.from);
        from.earlier().ok()
    }

    /// The first instant after it: rather an hour late than early, where the clocks are changed.
    fn end(&self) -> Option<Timestamp> {
        self.time_zone.to_ambiguous_timestamp(self.to).later().ok()
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = self.to.strftime("%Y-%m-%d %H:%M");
        write!(
            f,
            "frozen until {to} {}: {}",
            name(&self.time_zone),
            self.why
        )
    }
}

fn name(time_zone: &TimeZone) -> &str {
    time_zone.iana_name().unwrap_or("UTC")
}

/// Some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays([bool; 7]);

impl Weekdays {
    /// All seven.
    pub const ALL: Self = Self([true; 7]);

    /// Whether `day` is one of them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0[index(day)]
    }
}

impl FromIterator<Weekday> for Weekdays {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> Self {
        let mut some = Self([false; 7]);
        for day in days {
            some.0[index(day)] = true;
        }
        some
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let days: Vec<&str> = NAMES
            .iter()
            .zip(self.0)
            .filter_map(|(name, is_in)| is_in.then_some(*name))
            .collect();
        f.write_str(&days.join(" "))
    }
}

/// Counted from Monday, as ISO 8601 does: 0 to 6.
fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

#[cfg(test)]
mod tests;
