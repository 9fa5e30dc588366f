//! Advice on a trace, for a page.

use std::num::NonZeroU16;

use coupon_cli::plain;
use coupon_report::html::AdvicePage;

use super::keys::{self, KeyFindings};
use super::render::{FITTED, best, fan_outs, few, hot_rooms, loads, undecided};
use super::{AdviceReport, Recommended, too_few};
use crate::replay::Recording;

/// The page on a trace: what was found, as far as it was proved.
#[must_use]
pub fn page(
    recording: &Recording,
    advice: &AdviceReport<'_>,
    keys: &KeyFindings,
    shards: NonZeroU16,
) -> AdvicePage {
    let described = recording.described();
    let (lead, notes) =
        described.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    let is_few = too_few(advice.alternatives, shards);
    let undecided = undecided(recording, advice.alternatives);
    let best = if is_few { Vec::new() } else { best(recording, advice.alternatives, shards) };
    let verdict = match (best.first(), &undecided) {
        (None, _) => few(recording, advice.alternatives, shards),
        (Some(_), Some(undecided)) => undecided.clone(),
        (Some((told, _)), None) => format!("{told}."),
    };
    let mut points = vec![hot_rooms(recording, shards)];
    points.extend(best.iter().any(|(_, start)| start.is_fitted).then(|| FITTED.to_owned()));
    points.extend(proved(advice));
    points.extend(keys::points(keys));
    points.extend(notes.iter().cloned());
    let mut tables =
        vec![("Every alternative, over all rows and the busiest".to_owned(), loads(advice.alternatives))];
    tables.extend(fan_outs(advice.alternatives).map(|table| ("Shards that queries visit".to_owned(), table)));
    tables.extend(keys::tables(keys));
    let mut commands: Vec<(String, String)> =
        best.into_iter().map(|(told, start)| (told, start.to_string())).collect();
    if let Some((what, _)) = commands.first_mut().filter(|_| undecided.is_none()) {
        // The verdict has named it.
        *what = "The command that starts it:".to_owned();
    }
    AdvicePage {
        title: format!("Advice on {}", plain::line(&recording.file)),
        lead,
        verdict: Some(verdict),
        commands,
        points,
        maps: keys::maps(keys),
        tables,
    }
}

/// The measurements of a replay, beside the predictions.
fn proved(advice: &AdviceReport<'_>) -> Vec<String> {
    let figures = |of: &Recommended<'_>| -> Vec<String> {
        of.compared.iter().map(|compared| format!("{}: {compared}", of.name)).collect()
    };
    let figures: Vec<String> = advice.recommended.iter().flat_map(figures).collect();
    if figures.is_empty() && !advice.recommended.is_empty() {
        return vec!["These are predictions; no replay has proved them.".to_owned()];
    }
    figures
}

#[cfg(test)]
mod tests {
    use coupon_report::html::render_advice;

    use super::*;
    use crate::advise::render::tests::findings;
    use crate::replay::{QueryMix, ReadOptions, read};

    #[test]
    fn the_page_has_what_the_terminal_is_told_and_a_map_of_each_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..400)
            .map(|n| {
                format!("{},{},1,{}\n", n + 1, if n % 2 == 0 { 3 } else { n % 50 + 4 }, 1_456_617_600 + n)
            })
            .collect();
        std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
        let wanted = ["room", "user"].map(|key| key.parse().unwrap());
        let recording =
            read(file.path(), &ReadOptions { keys: wanted.into(), ..ReadOptions::default() }).unwrap();
        let (mix, four) = (QueryMix::none(), NonZeroU16::new(4).unwrap());
        let (findings, keys) =
            (findings(&recording, &mix), KeyFindings::of_trace(&recording, &mix, four, 50.0));
        let page =
            render_advice(&page(&recording, &AdviceReport::of(&findings, &recording, four), &keys, four));
        let best = best(&recording, &findings, four);
        assert_eq!(best.len(), 2);
        for (told, start) in &best {
            assert!(
                page.contains(told.as_str()) && page.contains(&format!("<code>{start}</code>")),
                "{told}: {page}"
            );
        }
        for told in [
            "Hot rooms, to be split off: 3 (50 %)",
            "no replay has proved them",
            "Rows by room and time",
            "Rows by user and time",
            "2016-02-28 00:00",
            "range-room+equal",
        ] {
            assert!(page.contains(told), "{told}: {page}");
        }
    }
}
