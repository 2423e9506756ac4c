//! The same seed is the same run.

use super::*;
use crate::run::run;

#[test]
fn the_same_seed_gives_the_same_story_byte_for_byte() {
    for seed in [3, 4] {
        let [first, second] = [(); 2].map(|()| run(Plan::draw(seed, 4, 1), Level::DEBUG).unwrap());
        assert_eq!(first.story.text(), second.story.text());
        assert_eq!(first.story.digest(), second.story.digest());
        assert_eq!(first.counts, second.counts);
        assert!(first.counts.deployments > 4, "{:?}", first.counts);
        assert_eq!(first.broken, None, "{}", first.story.text());
    }
}

#[test]
fn another_seed_gives_another_story() {
    let [first, second] = [5, 6].map(|seed| run(Plan::draw(seed, 2, 1), Level::INFO).unwrap());
    assert_ne!(first.story.digest(), second.story.digest());
}
