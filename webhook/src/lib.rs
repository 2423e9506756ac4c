//! Hears Gitea: verifies a delivery's signature and rings the doorbell.
