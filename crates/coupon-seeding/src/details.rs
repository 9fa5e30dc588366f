//! The wide half of a coupon: a few KB of text, so that leaving it out of a listing is worth something.

use coupon_core::{CouponDetails, CouponId};
use serde_json::json;

use crate::random::Stream;
use crate::words;

/// Paragraphs of description, each of a few sentences.
const PARAGRAPHS: u64 = 4;
/// Article numbers in the range of products.
const ARTICLES: u64 = 60;

pub(crate) fn details(coupon_id: CouponId, random: &mut Stream) -> CouponDetails {
    let paragraphs: Vec<String> = (0..PARAGRAPHS).map(|_| sentences(words::PRAISE, 5, random)).collect();
    CouponDetails {
        coupon_id,
        description: paragraphs.join("\n\n"),
        usage_rules: sentences(words::RULES, 8, random),
        product_range: product_range(random),
    }
}

fn sentences(from: &[&str], count: u64, random: &mut Stream) -> String {
    (0..count).map(|_| random.pick(from)).collect::<Vec<_>>().join(" ")
}

fn product_range(random: &mut Stream) -> String {
    let mut few = |words: &[&'static str]| (0..3).map(|_| random.pick(words)).collect::<Vec<_>>();
    let (categories, brands) = (few(words::CATEGORIES), few(words::BRANDS));
    let articles: Vec<u64> = (0..ARTICLES).map(|_| random.between(100_000, 999_999)).collect();
    json!({ "categories": categories, "brands": brands, "articles": articles }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_a_few_kilobytes_with_a_json_document() {
        let details = details(CouponId::new(1).unwrap(), &mut Stream::new(1, "details"));
        let size = details.description.len() + details.usage_rules.len() + details.product_range.len();
        assert!((2_000..5_000).contains(&size), "{size}");
        let range: serde_json::Value = serde_json::from_str(&details.product_range).unwrap();
        assert_eq!(range["articles"].as_array().unwrap().len(), 60);
    }
}
