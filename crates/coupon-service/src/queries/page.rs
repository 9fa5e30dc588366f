//! Pages of results: from each shard what the page may take of it, merged, and asked for more where that was too
//! little.

use std::cmp::Reverse;
use std::time::Duration;

use coupon_core::{CouponResult, ResultId, ResultQuery, ShardId, ShardingStrategy as _, Timestamp};
use coupon_store::{Found, PageRequest, Unavailable, Visit};

use super::{Answered, Queries};

/// Results, latest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The results.
    pub items: Vec<CouponResult>,
    /// True if there may be more.
    pub more: bool,
    /// The shards and tables that answered.
    pub answered: Answered,
}

impl Queries {
    /// A page of the results that a query covers, latest first.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn page(
        &self,
        query: ResultQuery,
        page: PageRequest,
        now: Timestamp,
    ) -> Result<Page, Unavailable> {
        // One more than asked for, to see if there is more.
        let wanted = page.limit + 1;
        let visits = self.visits(&query);
        let limit = if self.backend.layouts.look(|versions| versions.is_even(&query)) {
            share(wanted, visits.len())
        } else {
            wanted
        };
        let first = PageRequest { limit, ..page };
        let shards = &self.backend.shards;
        let ask = |shard, visit| shards.page(shard, visit, query, first);
        let (lists, mut answered) = self.visit(visits.clone(), now, ask).await?;
        let mut short = full(&lists, answered.up(), limit);
        let mut items: Vec<CouponResult> = lists.into_iter().flatten().map(|(_, result)| result).collect();
        items.sort_unstable_by_key(|result| Reverse(result.result_id));
        // Results after the page's last are not of it, on whatever shard.
        let end = items.get(page.limit).map(|result| result.result_id);
        short.retain(|(_, last)| limit < wanted && end.is_none_or(|end| *last > end));
        if !short.is_empty() {
            let again = visits.into_iter().filter(|(shard, _)| short.iter().any(|(other, _)| other == shard));
            items.extend(self.rest(query, again.collect(), &short, wanted, now, &mut answered).await);
            items.sort_unstable_by_key(|result| Reverse(result.result_id));
        }
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        Ok(Page { items, more, answered })
    }

    /// The results that shards have after those they gave. A shard that does not answer any more is missing.
    async fn rest(
        &self,
        query: ResultQuery,
        visits: Vec<(ShardId, Visit)>,
        short: &[(ShardId, ResultId)],
        limit: usize,
        now: Timestamp,
        answered: &mut Answered,
    ) -> Vec<CouponResult> {
        let shards = &self.backend.shards;
        let after = |shard| short.iter().find(|(other, _)| *other == shard).map(|(_, last)| *last);
        let ask =
            |shard, visit| shards.page(shard, visit, query, PageRequest { before: after(shard), limit });
        match self.visit(visits, now, ask).await {
            Ok((lists, again)) => {
                answered.take_in(&again);
                lists.into_iter().flatten().map(|(_, result)| result).collect()
            }
            Err(_) => {
                answered.missing.extend(short.iter().map(|(shard, _)| *shard));
                Vec::new()
            }
        }
    }
}

impl Answered {
    /// Some shards were asked again, about tables that are counted already.
    fn take_in(&mut self, again: &Self) {
        self.missing.extend(&again.missing);
        self.as_of = self.as_of.min(again.as_of);
        for (shard, took) in &mut self.timings {
            let more = again.timings.iter().find(|(other, _)| other == shard);
            *took += more.map_or(Duration::ZERO, |(_, more)| *more);
        }
    }
}

/// The part of a page to ask each of so many shards for, when its results are on all of them alike: the mean, and
/// three deviations of a Poisson distribution, so that fewer than one page in fifty takes a second question.
fn share(wanted: usize, shards: usize) -> usize {
    let mean = wanted as f64 / shards.max(1) as f64;
    ((mean + 3.0 * mean.sqrt()).ceil() as usize + 1).min(wanted)
}

/// The shards that gave as many as they were asked for, so that they may hold more, each with the last result it gave.
fn full(lists: &[Vec<Found>], up: impl Iterator<Item = ShardId>, limit: usize) -> Vec<(ShardId, ResultId)> {
    let full = up.zip(lists).filter(|(_, list)| list.len() >= limit);
    full.filter_map(|(shard, list)| Some((shard, list.last()?.1.result_id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_more_than_the_mean_and_never_more_than_the_page() {
        assert_eq!((share(101, 1), share(101, 4), share(101, 16), share(2, 4)), (101, 42, 15, 2));
        assert_eq!((share(1, 0), share(11, 1_024)), (1, 2));
    }
}
