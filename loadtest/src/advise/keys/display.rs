//! Values as they are shown: whole, or their beginnings and ends where they are long.

use coupon_cli::plain;

/// The values in at most so many characters each. Two that would look the same are whole, however long they are.
pub(super) fn shortened(values: &[&str], room: usize) -> Vec<String> {
    let whole: Vec<_> = values.iter().map(|value| plain::line(value)).collect();
    let short: Vec<String> = whole.iter().map(|value| short(value, room)).collect();
    let alike = |at: usize| {
        let same = |(other, shown): (usize, &String)| {
            Some(shown) == short.get(at) && whole.get(other) != whole.get(at)
        };
        short.iter().enumerate().any(same)
    };
    let shown = whole.iter().zip(&short).enumerate();
    shown.map(|(at, (whole, short))| if alike(at) { whole.to_string() } else { short.clone() }).collect()
}

fn short(value: &str, room: usize) -> String {
    let signs: Vec<char> = value.chars().collect();
    if signs.len() <= room {
        return value.to_owned();
    }
    let left = room.saturating_sub(1);
    let begin = signs.iter().take(left.div_ceil(2));
    begin.chain(&['…']).chain(signs.iter().skip(signs.len() - left / 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_as_far_as_there_is_room_and_what_is_left_out_is_marked() {
        assert_eq!(shortened(&["9223372036854775809", "größe"], 19), ["9223372036854775809", "größe"]);
        assert_eq!(shortened(&["abcdefghij"], 6), ["abc…ij"]);
        assert_eq!(shortened(&["a\u{1b}[2K"], 20), ["a\\u{1b}[2K"]);
    }

    #[test]
    fn values_that_differ_look_different() {
        assert_eq!(shortened(&["abc1xyz", "abc2xyz", "bbc1xyz"], 6), ["abc1xyz", "abc2xyz", "bbc…yz"]);
        assert_eq!(shortened(&["abc1xyz", "abc1xyz"], 6), ["abc…yz", "abc…yz"]);
    }
}
