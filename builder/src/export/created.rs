//! When an image and its layers were made, as its config says.
//!
//! A layer keeps the time at which it was made, so a build that found everything in the cache
//! gives the same config and the same id again. With `SOURCE_DATE_EPOCH` nothing new is later.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rbuild_cache::{LayerId, Store};
use rbuild_frontend::config::ImageConfig;

/// When each of these layers was made.
pub fn times(store: &Store, layers: &[LayerId]) -> Vec<SystemTime> {
    let made = |layer| store.layers().created(layer).unwrap_or_else(SystemTime::now);
    layers.iter().map(made).collect()
}

/// Gives every entry of the history that has no time the time of its layer, or of the layer
/// before it, and the image the time of its last entry.
pub fn fill(config: &mut ImageConfig, layers: &[SystemTime], epoch: Option<i64>) {
    let mut layers = layers.iter();
    let mut last = epoch.map(|epoch| rfc3339(from_seconds(epoch)));
    for entry in &mut config.history {
        if entry.created.is_none() {
            let made = if entry.empty_layer { None } else { layers.next() };
            let time = made.map(|time| rfc3339(clamped(*time, epoch)));
            entry.created = Some(time.or(last).unwrap_or_else(|| rfc3339(SystemTime::now())));
        }
        last = entry.created.clone();
    }
    config.created = last.or_else(|| Some(rfc3339(SystemTime::now())));
}

fn clamped(time: SystemTime, epoch: Option<i64>) -> SystemTime {
    epoch.map_or(time, |epoch| from_seconds(epoch).min(time))
}

fn from_seconds(seconds: i64) -> SystemTime {
    let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// RFC 3339 in UTC, as Go writes it: no more digits than there are.
fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbuild_frontend::config::History;

    fn config(entries: &[(&str, bool)]) -> ImageConfig {
        let history = entries
            .iter()
            .map(|(created, empty_layer)| History {
                created: (!created.is_empty()).then(|| (*created).to_owned()),
                empty_layer: *empty_layer,
                ..History::default()
            })
            .collect();
        ImageConfig { history, ..ImageConfig::default() }
    }

    fn created(config: &ImageConfig) -> Vec<&str> {
        config.history.iter().filter_map(|entry| entry.created.as_deref()).collect()
    }

    #[test]
    fn entries_take_the_time_of_their_layer_or_of_the_one_before() {
        let base = "2020-01-01T00:00:00Z";
        let mut config = config(&[(base, false), ("", true), ("", false), ("", true)]);
        fill(&mut config, &[from_seconds(86_400)], None);
        let day = "1970-01-02T00:00:00Z";
        assert_eq!(created(&config), [base, base, day, day]);
        assert_eq!(config.created.as_deref(), Some(day));
    }

    #[test]
    fn nothing_new_is_later_than_the_epoch() {
        let mut config = config(&[("", false), ("", true)]);
        fill(&mut config, &[SystemTime::now()], Some(1));
        assert_eq!(created(&config), ["1970-01-01T00:00:01Z"; 2]);
    }

    #[test]
    fn an_image_of_the_epoch_without_layers_has_the_epoch() {
        let mut config = config(&[("", true)]);
        fill(&mut config, &[], Some(1_600_000_000));
        assert_eq!(config.created.as_deref(), Some("2020-09-13T12:26:40Z"));
    }
}
