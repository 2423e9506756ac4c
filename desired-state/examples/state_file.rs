//! Makes a state file of the present schema for `tests/states`:
//! `cargo run -p desired-state --example state_file -- desired-state/tests/states/NNNN.db`.
//! To be run once a schema, when it is released; a stored file is never made anew.

#[path = "../tests/states/story.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod story;

use std::path::PathBuf;

use desired_state::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let file = file.ok_or("name the file to make")?;
    if file.exists() {
        return Err(format!("{} is there already", file.display()).into());
    }
    let store = Store::open(&file).await?;
    story::tell(&store).await?;
    store.close().await;
    Ok(())
}
