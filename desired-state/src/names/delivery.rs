//! The id of a webhook delivery.

use super::checked::checked_text;

/// The longest delivery id, in bytes. Gitea and Forgejo send a UUID (36); other senders may differ a little.
const LONGEST: usize = 64;

checked_text! {
    /// The id of a delivery, from the header `X-Gitea-Delivery`: 1 to 64 printable ASCII characters.
    ///
    /// The header is not signed, so an id proves nothing; it only tells two deliveries apart.
    DeliveryId, "delivery id", check
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LONGEST {
        Err("it is longer than 64 bytes")
    } else if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        Err("only printable ASCII characters may stand in it")
    } else {
        Ok(())
    }
}
