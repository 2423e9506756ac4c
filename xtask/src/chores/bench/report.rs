//! How measurements are summed up and told.

/// The middle one of an odd number of measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Tells the person who waits.
#[expect(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]
pub fn say(what: &str) {
    println!("{what}");
}
