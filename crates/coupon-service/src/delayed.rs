//! Shards at a distance. Loopback makes them look closer than they are: this adds what a network would.

use std::time::Duration;

use coupon_core::{CouponResult, Place, Placement, ResultId, ResultQuery, RoomId, ShardId, Timestamp};
use coupon_store::{
    Backend, Change, Changed, Found, HandOver, HeldByCoupon, LocalFuture, PageRequest, PlacedResult,
    ResultSummary, RoomIndex, RoomPlaces, ShardReport, Shards, Totals, Unavailable, Visit, Visited,
};

/// A round trip before each call that goes to a shard.
struct Delayed<T> {
    inner: T,
    by: Duration,
}

/// The same backend, with its shards a round trip away; zero leaves it as it is.
pub(crate) fn delayed(backend: Backend, by: Duration) -> Backend {
    if by.is_zero() {
        return backend;
    }
    Backend {
        hand_over: Box::new(Delayed { inner: backend.hand_over, by }),
        shards: Box::new(Delayed { inner: backend.shards, by }),
        room_index: backend.room_index.map(|inner| Box::new(Delayed { inner, by }) as Box<dyn RoomIndex>),
        ..backend
    }
}

impl<T> Delayed<T> {
    async fn round_trip(&self) {
        tokio::time::sleep(self.by).await;
    }
}

impl HandOver for Delayed<Box<dyn HandOver>> {
    fn hand_over(
        &self,
        shard: ShardId,
        epoch: u64,
        results: Vec<PlacedResult>,
    ) -> LocalFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.round_trip().await;
            self.inner.hand_over(shard, epoch, results).await
        })
    }

    fn refusal(&self, shard: ShardId) -> Option<Unavailable> {
        self.inner.refusal(shard)
    }

    fn ready(&self) -> Result<(), Unavailable> {
        self.inner.ready()
    }
}

impl<S: ?Sized> Delayed<Box<S>> {
    /// Asks a shard after the round trip, which is part of how long the shard took.
    fn ask<'a, T: 'a>(
        &'a self,
        ask: impl FnOnce(&'a S) -> LocalFuture<'a, Result<Visited<T>, Unavailable>> + 'a,
    ) -> LocalFuture<'a, Result<Visited<T>, Unavailable>> {
        Box::pin(async move {
            self.round_trip().await;
            let visited = ask(&*self.inner).await?;
            Ok(Visited { took: visited.took + self.by, ..visited })
        })
    }
}

impl Shards for Delayed<Box<dyn Shards>> {
    fn page(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>> {
        self.ask(move |shards| shards.page(place, visit, query, page))
    }

    fn find(
        &self,
        place: Place,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>> {
        self.ask(move |shards| shards.find(place, visit, id))
    }

    fn summary(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        self.ask(move |shards| shards.summary(place, visit, query))
    }

    fn totals(&self, place: Place, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        self.ask(move |shards| shards.totals(place, visit))
    }

    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        self.ask(move |shards| shards.kept_totals(shard))
    }

    // What operators ask is no part of what is compared, here and at the end.
    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>> {
        self.inner.held(shard)
    }

    fn change(&self, placement: Placement, change: Change) -> LocalFuture<'_, Result<Changed, Unavailable>> {
        Box::pin(async move {
            self.round_trip().await;
            self.inner.change(placement, change).await
        })
    }

    fn report(&self, shard: ShardId) -> LocalFuture<'_, Option<ShardReport>> {
        self.inner.report(shard)
    }
}

impl RoomIndex for Delayed<Box<dyn RoomIndex>> {
    fn places(&self) -> RoomPlaces {
        self.inner.places()
    }

    fn page(
        &self,
        room: RoomId,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<CouponResult>>, Unavailable>> {
        self.ask(move |index| index.page(room, query, page))
    }

    fn summary(
        &self,
        room: RoomId,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        self.ask(move |index| index.summary(room, query))
    }

    fn as_of(&self, shard: ShardId) -> LocalFuture<'_, Option<Timestamp>> {
        self.inner.as_of(shard)
    }
}
