//! How a number of bytes is read.

use super::problem::{Problem, quoted};
use super::values::{Given, text};

/// A number of bytes, or one with K, M, G or T (powers of 1024) behind it, as nix.conf(5) takes it.
pub fn bytes(given: Given<'_>) -> Result<u64, Problem> {
    const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    const HELP: &str =
        "write bytes, or a number with K, M, G or T behind it, such as \"512M\" or \"2G\"";
    if let Some(number) = given.integer() {
        return u64::try_from(number)
            .map_err(|_| Problem::new(format!("{number} is negative"), "bytes are counted", HELP));
    }
    let written = text(given)?;
    let unit = |&(letter, shift): &(char, u32)| Some((written.strip_suffix(letter)?, shift));
    let (number, shift) = UNITS.iter().find_map(unit).unwrap_or((&written, 0));
    let number = number.parse::<u64>().ok().filter(|_| {
        // `parse` takes a sign.
        number.bytes().all(|byte| byte.is_ascii_digit())
    });
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| {
            Problem::new(
                format!("{} is not a number of bytes", quoted(&written)),
                "it is a whole number, of bytes or of one unit, and below 16 EiB",
                HELP,
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_in_nix_conf() {
        for (written, expected) in [
            ("0", 0),
            ("1024", 1024),
            ("512M", 512 << 20),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("3K", 3 << 10),
        ] {
            assert_eq!(
                bytes(Given::Text(written)).ok(),
                Some(expected),
                "{written}"
            );
        }
        for written in [
            "",
            "-1",
            "+1M",
            "M",
            "1.5G",
            "1 G",
            "1g",
            "1GB",
            "99999999T",
        ] {
            assert!(bytes(Given::Text(written)).is_err(), "{written}");
        }
    }
}
