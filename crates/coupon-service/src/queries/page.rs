//! Pages of results: from each shard what the page may take of it, merged, and asked for more where that was too
//! little.

use std::cmp::Reverse;

use coupon_core::{
    CouponResult, Place, ResultId, ResultQuery, ResultState, ShardId, ShardingStrategy as _, Timestamp,
};
use coupon_store::{Found, PageRequest, Unavailable};

use super::rounds::VisitOrder;
use super::{Answered, Queries, united};

/// The most results of a list that are looked at for one page of those in a state: no index leads to a state.
pub(super) const LOOKED_AT: usize = 5_000;

/// Results, latest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The results.
    pub items: Vec<CouponResult>,
    /// The result behind which the list goes on, if there may be more of it. Of results in one state there may be fewer on a page
    /// than were asked for, and none at all, with more behind it.
    pub next: Option<ResultId>,
    /// The shards and tables that answered.
    pub answered: Answered,
}

impl Page {
    /// A page of these results, the latest first, of which there may be one too many.
    fn of(mut items: Vec<CouponResult>, limit: usize, answered: Answered) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|result| result.result_id);
        Self { items, next, answered }
    }
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
        match query.state {
            // A user has few enough.
            Some(state) if query.user.is_none() => self.page_in(state, query, page, now).await,
            _ => self.page_of(query, page, now).await,
        }
    }

    /// A page of the results in one state. It looks through the list in any state, further and further back, and no further
    /// than one request may.
    async fn page_in(
        &self,
        state: ResultState,
        query: ResultQuery,
        page: PageRequest,
        now: Timestamp,
    ) -> Result<Page, Unavailable> {
        let of_any = ResultQuery { state: None, ..query };
        let mut left = LOOKED_AT.max(page.limit);
        let mut look = page;
        let mut found: Option<Page> = None;
        loop {
            left -= look.limit;
            let Page { mut items, next, answered } = self.page_of(of_any, look, now).await?;
            items.retain(|result| result.state == state);
            let mut sum = match found.take() {
                None => Page { items, next, answered },
                Some(mut before) => {
                    before.items.append(&mut items);
                    before.answered.take_in(&answered);
                    Page { next, ..before }
                }
            };
            if sum.items.len() > page.limit {
                sum.items.truncate(page.limit);
                sum.next = sum.items.last().map(|result| result.result_id);
            }
            // A shard that does not answer would be waited for with every further look.
            let goes_on = left > 0 && sum.items.len() < page.limit && sum.answered.missing.is_empty();
            match sum.next {
                Some(_) if goes_on => {
                    look = PageRequest { before: sum.next, limit: (2 * look.limit).min(left) };
                    found = Some(sum);
                }
                _ => return Ok(sum),
            }
        }
    }

    /// A page of results in any state, or of those of one user.
    async fn page_of(
        &self,
        query: ResultQuery,
        page: PageRequest,
        now: Timestamp,
    ) -> Result<Page, Unavailable> {
        // One more than asked for, to see if there is more.
        let wanted = page.limit + 1;
        let whole = PageRequest { limit: wanted, ..page };
        let by_room = self.ask_index(&query, now, |index, room| index.page(room, query, whole)).await;
        if let Some((items, answered)) = by_room {
            return Ok(Page::of(items, page.limit, answered));
        }
        let versions = self.backend.layouts.now();
        // Where shards are alike there is one version, and so one round.
        let limit = match VisitOrder::InRounds.rounds(&versions, &query).as_slice() {
            [round] if versions.is_even(&query) => share(wanted, round.len()),
            _ => wanted,
        };
        let first = PageRequest { limit, ..page };
        let shards = &self.backend.shards;
        let ask = |place, visit| shards.page(place, visit, query, first);
        let (lists, mut answered) = self.ask(&query, VisitOrder::InRounds, now, ask).await?;
        let mut short = full(&lists, limit);
        let mut items = latest_first(lists.into_iter().flat_map(|(_, list)| list).map(|(_, result)| result));
        // Results after the page's last are not of it, on whatever shard.
        let end = items.get(page.limit).map(|result| result.result_id);
        short.retain(|(_, last)| limit < wanted && end.is_none_or(|end| *last > end));
        if !short.is_empty() {
            let rest = self.rest(query, &short, wanted, now, &mut answered).await;
            items = latest_first(items.into_iter().chain(rest));
        }
        Ok(Page::of(items, page.limit, answered))
    }

    /// The results that shards have after those they gave. A shard that does not answer any more is missing.
    async fn rest(
        &self,
        query: ResultQuery,
        short: &[(Place, ResultId)],
        limit: usize,
        now: Timestamp,
        answered: &mut Answered,
    ) -> Vec<CouponResult> {
        let shards = &self.backend.shards;
        let after = |place| short.iter().filter(|(other, _)| *other == place).map(|(_, last)| *last).max();
        let is_short = |place| after(place).is_some();
        let ask =
            |place, visit| shards.page(place, visit, query, PageRequest { before: after(place), limit });
        match self.ask_of(&query, VisitOrder::InRounds, is_short, now, ask).await {
            Ok((lists, again)) => {
                // Its tables are counted already.
                answered.take_in(&Answered { tables: 0, ..again });
                lists.into_iter().flat_map(|(_, list)| list).map(|(_, result)| result).collect()
            }
            Err(_) => {
                let missing: Vec<ShardId> = short.iter().flat_map(|(place, _)| self.lanes(*place)).collect();
                united(&mut answered.missing, &missing);
                Vec::new()
            }
        }
    }
}

/// Results from the latest to the earliest, each once: of one that was found twice, while it was moved, the copy that was found
/// later.
fn latest_first(found: impl DoubleEndedIterator<Item = CouponResult>) -> Vec<CouponResult> {
    let mut results: Vec<CouponResult> = found.rev().collect();
    results.sort_by_key(|result| Reverse(result.result_id));
    results.dedup_by_key(|result| result.result_id);
    results
}

/// The part of a page to ask each of so many shards for, when its results are on all of them alike: the mean, and
/// three deviations of a Poisson distribution, so that fewer than one page in fifty takes a second question.
fn share(wanted: usize, shards: usize) -> usize {
    let mean = wanted as f64 / shards.max(1) as f64;
    ((mean + 3.0 * mean.sqrt()).ceil() as usize + 1).min(wanted)
}

/// The places that gave as many as they were asked for, so that they may hold more, each with the last result it gave.
fn full(lists: &[(Place, Vec<Found>)], limit: usize) -> Vec<(Place, ResultId)> {
    let full = lists.iter().filter(|(_, list)| list.len() >= limit);
    full.filter_map(|(place, list)| Some((*place, list.last()?.1.result_id))).collect()
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
