//! Windows and freezes, a case each, and what holds for all of them.

use jiff::civil::{date, time};
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;

/// The bundled database: the tests say the same on a machine without tzdata.
fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn clock(text: &str) -> Time {
    text.parse().unwrap()
}

fn window(days: &[Weekday], from: &str, to: &str, time_zone: &str) -> Window {
    Window {
        days: days.iter().copied().collect(),
        from: clock(from),
        to: clock(to),
        time_zone: zone(time_zone),
    }
}

fn daily(from: &str, to: &str, time_zone: &str) -> Window {
    Window {
        days: Weekdays::ALL,
        ..window(&[], from, to, time_zone)
    }
}

fn freeze(from: DateTime, to: DateTime, time_zone: &str) -> Freeze {
    Freeze {
        from,
        to,
        time_zone: zone(time_zone),
        why: "nobody is there".into(),
    }
}

/// Checks when a window is next open, seen from `now`.
fn check_opens(window: &Window, now: &str, opens: &str) {
    assert_eq!(window.opens(at(now)), Some(at(opens)), "{window} at {now}");
}

#[test]
fn a_window_is_open_from_its_first_minute_until_before_its_last() {
    let window = window(&[Weekday::Monday], "02:00", "05:00", "Europe/Berlin");
    // 2026-11-23 is a Monday; Berlin is an hour ahead of UTC then.
    assert!(!window.is_open(at("2026-11-23T00:59:59.999Z")));
    assert!(window.is_open(at("2026-11-23T01:00Z")));
    assert!(window.is_open(at("2026-11-23T03:59:59.999Z")));
    assert!(!window.is_open(at("2026-11-23T04:00Z")));
    assert!(!window.is_open(at("2026-11-24T02:00Z")));
    check_opens(&window, "2026-11-23T00:00Z", "2026-11-23T01:00Z");
    check_opens(&window, "2026-11-23T02:00Z", "2026-11-23T02:00Z");
    check_opens(&window, "2026-11-23T04:00Z", "2026-11-30T01:00Z");
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_began() {
    let window = window(&[Weekday::Friday], "22:00", "02:00", "UTC");
    // 2026-11-27 is a Friday.
    assert!(!window.is_open(at("2026-11-27T01:00Z")));
    assert!(window.is_open(at("2026-11-27T22:00Z")));
    assert!(window.is_open(at("2026-11-28T01:59Z")));
    assert!(!window.is_open(at("2026-11-28T02:00Z")));
    assert!(!window.is_open(at("2026-11-28T22:00Z")));
}

#[test]
fn a_window_that_ends_when_it_begins_lasts_a_day() {
    let window = window(&[Weekday::Sunday], "12:00", "12:00", "UTC");
    assert!(!window.is_open(at("2026-11-29T11:59Z")));
    assert!(window.is_open(at("2026-11-29T12:00Z")));
    assert!(window.is_open(at("2026-11-30T11:59Z")));
    assert!(!window.is_open(at("2026-11-30T12:00Z")));
}

#[test]
fn a_window_opens_with_the_clocks_that_skip_its_beginning() {
    // On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, at 01:00 UTC.
    let window = daily("02:30", "05:00", "Europe/Berlin");
    check_opens(&window, "2026-03-29T00:30Z", "2026-03-29T01:00Z");
    check_opens(&window, "2026-03-29T04:00Z", "2026-03-30T00:30Z");
}

#[test]
fn a_window_that_the_clocks_skip_opens_the_next_time() {
    let night = daily("02:00", "03:00", "Europe/Berlin");
    check_opens(&night, "2026-03-29T00:00Z", "2026-03-30T00:00Z");
    let weekly = window(&[Weekday::Sunday], "02:00", "03:00", "Europe/Berlin");
    check_opens(&weekly, "2026-03-29T00:00Z", "2026-04-05T00:00Z");
}

#[test]
fn an_hour_that_the_clocks_show_twice_is_in_a_window_twice() {
    // On 2026-10-25 the clocks of Berlin go from 03:00 back to 02:00, at 01:00 UTC.
    let whole = daily("02:00", "03:00", "Europe/Berlin");
    for (minute, is_open) in [
        ("2026-10-24T23:59Z", false),
        ("2026-10-25T00:00Z", true),
        ("2026-10-25T01:30Z", true),
        ("2026-10-25T02:00Z", false),
    ] {
        assert_eq!(whole.is_open(at(minute)), is_open, "{minute}");
    }
    let half = daily("02:30", "03:00", "Europe/Berlin");
    check_opens(&half, "2026-10-25T00:00Z", "2026-10-25T00:30Z");
    check_opens(&half, "2026-10-25T01:00Z", "2026-10-25T01:30Z");
    // It has ended, and the clocks go back into it.
    let early = daily("01:00", "02:30", "Europe/Berlin");
    check_opens(&early, "2026-10-25T00:30Z", "2026-10-25T01:00Z");
}

#[test]
fn without_windows_and_freezes_it_is_always_open() {
    assert_eq!(open(&[], &[], at("2026-11-23T00:00Z")), Openness::Open);
}

#[test]
fn outside_of_all_windows_the_first_to_open_is_told() {
    let windows = [
        window(&[Weekday::Wednesday], "02:00", "05:00", "Europe/Berlin"),
        daily("22:00", "23:00", "America/New_York"),
    ];
    let Openness::Closed { reason, opens } = open(&windows, &[], at("2026-11-23T12:00Z")) else {
        panic!("it is closed");
    };
    assert_eq!(
        reason,
        "outside of its windows, wed 02:00 to 05:00 Europe/Berlin; daily 22:00 to 23:00 America/New_York"
    );
    assert_eq!(opens, Some(at("2026-11-24T03:00Z")));
    assert_eq!(open(&windows, &[], at("2026-11-24T03:00Z")), Openness::Open);
}

#[test]
fn a_freeze_closes_windows_and_says_until_when_and_why() {
    let freezes = [freeze(
        date(2026, 12, 20).at(0, 0, 0, 0),
        date(2027, 1, 2).at(0, 0, 0, 0),
        "Europe/Berlin",
    )];
    let closed = |windows: &[Window], now: &str| match open(windows, &freezes, at(now)) {
        Openness::Closed { reason, opens } => (reason, opens),
        Openness::Open => panic!("it is closed at {now}"),
    };
    let (reason, opens) = closed(&[], "2026-12-24T12:00Z");
    assert_eq!(
        reason,
        "frozen until 2027-01-02 00:00 Europe/Berlin: nobody is there"
    );
    assert_eq!(opens, Some(at("2027-01-01T23:00Z")));
    assert_eq!(open(&[], &freezes, at("2027-01-01T23:00Z")), Openness::Open);
    assert_eq!(
        open(&[], &freezes, at("2026-12-19T22:59:59Z")),
        Openness::Open
    );
    // The next window is in the freeze; the first after it counts.
    let nights = [daily("02:00", "05:00", "Europe/Berlin")];
    let (reason, opens) = closed(&nights, "2026-12-19T12:00Z");
    assert!(reason.starts_with("outside of its window,"), "{reason}");
    assert_eq!(opens, Some(at("2027-01-02T01:00Z")));
}

#[test]
fn of_freezes_that_follow_one_another_the_last_end_counts() {
    let day = |day| date(2026, 12, day).at(0, 0, 0, 0);
    let freezes = [
        freeze(day(1), day(5), "UTC"),
        freeze(day(3), day(9), "UTC"),
        freeze(day(9), day(10), "UTC"),
    ];
    let closed = open(&[], &freezes, at("2026-12-04T00:00Z"));
    let Openness::Closed { reason, opens } = &closed else {
        panic!("it is closed");
    };
    assert!(reason.contains("2026-12-09"), "{reason}");
    assert_eq!(*opens, Some(at("2026-12-10T00:00Z")));
    assert_eq!(
        closed.opens_in(at("2026-12-09T23:00Z")),
        Some(Duration::from_secs(3600))
    );
    assert_eq!(
        closed.opens_in(at("2026-12-11T00:00Z")),
        Some(Duration::ZERO)
    );
}

#[test]
fn a_freeze_that_begins_or_ends_while_the_clocks_change_is_rather_longer() {
    let twice = date(2026, 10, 25).at(2, 30, 0, 0);
    let until = freeze(date(2026, 10, 20).at(0, 0, 0, 0), twice, "Europe/Berlin");
    assert!(until.holds(at("2026-10-25T01:29Z")));
    assert!(!until.holds(at("2026-10-25T01:30Z")));
    let from = freeze(twice, date(2026, 11, 1).at(0, 0, 0, 0), "Europe/Berlin");
    assert!(!from.holds(at("2026-10-25T00:29Z")));
    assert!(from.holds(at("2026-10-25T00:30Z")));
}

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    // Its clocks change by half an hour.
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Auckland",
];
/// Windows and changes of the clocks begin at multiples of this.
const STEP: i64 = 15;
const STEPS_A_DAY: i8 = 96;

fn any_time() -> impl Strategy<Value = Time> {
    (0..STEPS_A_DAY).prop_map(|step| time(step / 4, step % 4 * 15, 0, 0))
}

fn any_window() -> impl Strategy<Value = Window> {
    (
        prop::array::uniform7(any::<bool>()),
        any_time(),
        any_time(),
        prop::sample::select(ZONES.as_slice()),
    )
        .prop_map(|(days, from, to, name)| Window {
            days: Weekdays(days),
            from,
            to,
            time_zone: zone(name),
        })
}

/// An instant of 2026, often near a change of the clocks.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let begin = at("2026-01-01T00:00Z").as_second();
    let near = |text: &str| {
        let around = at(text).as_second();
        around - 2 * 86_400..around + 2 * 86_400
    };
    prop_oneof![
        begin..begin + 365 * 86_400,
        near("2026-03-29T01:00Z"),
        near("2026-10-25T01:00Z"),
        near("2026-03-08T07:00Z"),
        near("2026-04-04T15:00Z"),
        near("2026-10-03T15:30Z"),
    ]
    .prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// The same by other means: how many minutes of the week's clock have passed since the window began.
fn is_open_by_counting(window: &Window, now: Timestamp) -> bool {
    const WEEK: i64 = 7 * 24 * 60;
    let minutes = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
    let clock = window.time_zone.to_datetime(now);
    let of_week =
        i64::from(clock.date().weekday().to_monday_zero_offset()) * 1440 + minutes(clock.time());
    let length = match (minutes(window.to) - minutes(window.from)).rem_euclid(1440) {
        0 => 1440,
        some => some,
    };
    (0..7).filter(|day| window.days.0[*day]).any(|day| {
        let begin = day as i64 * 1440 + minutes(window.from);
        (of_week - begin).rem_euclid(WEEK) < length
    })
}

proptest! {
    #[test]
    fn a_window_is_open_while_the_clock_on_the_wall_says_so(window in any_window(), now in any_instant()) {
        prop_assert_eq!(window.is_open(now), is_open_by_counting(&window, now));
    }

    #[test]
    fn a_window_opens_at_the_first_time_at_which_it_is_open(window in any_window(), now in any_instant()) {
        let opens = window.opens(now);
        let end = opens.unwrap_or(now + (AHEAD * 24 - 48).hours());
        let next = |at: Timestamp| {
            let second = at.as_second();
            Timestamp::from_second(second - second.rem_euclid(STEP * 60) + STEP * 60).unwrap()
        };
        let mut looked = now;
        while looked < end {
            prop_assert!(!window.is_open(looked), "{} is open at {} before {:?}", window, looked, opens);
            looked = next(looked);
        }
        if let Some(opens) = opens {
            prop_assert!(window.is_open(opens));
        }
    }

    #[test]
    fn what_is_closed_opens_when_it_says_and_not_before(
        windows in prop::collection::vec(any_window(), 0..3),
        spans in prop::collection::vec((0i64..400, 1i64..400), 0..4),
        now in any_instant(),
    ) {
        let begin = date(2026, 1, 1).at(0, 0, 0, 0);
        let freezes: Vec<Freeze> = spans
            .iter()
            .map(|(from, hours)| {
                let from = begin + (from * 24).hours();
                freeze(from, from + hours.hours(), "Europe/Berlin")
            })
            .collect();
        if let Openness::Closed { opens: Some(opens), .. } = open(&windows, &freezes, now) {
            prop_assert!(opens > now);
            prop_assert_eq!(open(&windows, &freezes, opens), Openness::Open);
            let just_before = opens - 1.second();
            prop_assert!(just_before <= now || open(&windows, &freezes, just_before) != Openness::Open);
        }
    }
}
