//! Laws of main's catalogue.

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, NewCoupon, Operator, Refused, Thing};
use coupon_core::{CouponId, CouponKind, CouponStatus, GateId, GrabTerms, Money};
use coupon_servers::seam::{Edit, Living, Made, Opening, Servers, Terms};
use coupon_store::ChangeError;

use crate::bench::{coupon, noon};

fn operator() -> Operator {
    Operator::new("olga").unwrap()
}

async fn terms_of(servers: &Servers, of: CouponId) -> Terms {
    let offering = servers.main.terms().await.unwrap();
    offering.terms.into_iter().find(|terms| terms.coupon == of).unwrap()
}

fn total(of: u64, total_stock: u32) -> CatalogueChange {
    let patch = CouponPatch { total_stock: Some(total_stock), ..CouponPatch::default() };
    CatalogueChange::ChangeCoupon(coupon(of), patch)
}

async fn made(servers: &Servers, change: &CatalogueChange) -> Made {
    servers.main.change(change, &operator()).await.unwrap()
}

pub(crate) async fn a_change_is_a_version_and_a_line_of_the_log_and_is_made_once(servers: &Servers) {
    let main = &servers.main;
    let before = terms_of(servers, coupon(1)).await;
    let mut books = main.books().await.unwrap();
    let last = books.lock_logs().await.unwrap();
    let stock = books.stocks(&[coupon(1)]).await.unwrap()[&coupon(1)];
    books.roll_back().await.unwrap();
    let more = total(1, before.total + 5);
    assert_eq!(made(servers, &more).await, Made { version: 1, changed: true, added: 0 });
    assert_eq!(made(servers, &more).await, Made { version: 1, changed: false, added: 0 });
    assert_eq!(terms_of(servers, coupon(1)).await.total, before.total + 5);
    let mut books = main.books().await.unwrap();
    assert_eq!(books.lock_logs().await.unwrap(), last + 1);
    let after = books.stocks(&[coupon(1)]).await.unwrap()[&coupon(1)];
    assert_eq!((after.total - stock.total, after.remaining - stock.remaining), (5, 5));
    books.roll_back().await.unwrap();
    made(servers, &total(1, 0)).await;
    let less = terms_of(servers, coupon(1)).await;
    assert_eq!((less.total, less.taken_back), (0, before.total + 5));
    let changes = main.changes(10).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((changes[0].operator.as_str(), changes[0].coupon), ("olga", Some(coupon(1))));
    assert!(changes[0].what.contains("total_stock"), "{}", changes[0].what);
    assert_eq!(main.changes(1).await.unwrap().len(), 1);
}

pub(crate) async fn news_tell_of_what_changed_since_a_version_and_of_everything_where_it_is_not_known(
    servers: &Servers,
) {
    let main = &servers.main;
    let everything = main.news(None).await.unwrap();
    assert!(everything.whole && everything.version == 0 && !everything.rooms.is_empty());
    made(servers, &total(1, 3)).await;
    let news = main.news(Some(0)).await.unwrap();
    let changed: Vec<(CouponId, u32)> = news.terms.iter().map(|terms| (terms.coupon, terms.total)).collect();
    assert_eq!((news.version, changed, news.whole), (1, vec![(coupon(1), 3)], false));
    let news = main.news(Some(1)).await.unwrap();
    assert!(news.terms.is_empty() && news.version == 1 && main.version().await.unwrap() == 1);
    let of_another_main = main.news(Some(7)).await.unwrap();
    assert_eq!(of_another_main.terms.len(), everything.terms.len());
}

pub(crate) async fn what_is_refused_changes_nothing(servers: &Servers) {
    let refused = servers.main.change(&total(999_999, 3), &operator()).await;
    let unknown = Refused::Unknown(Thing::Coupon(coupon(999_999)));
    assert_eq!(refused, Err(ChangeError::Refused(unknown)));
    assert_eq!(servers.main.version().await.unwrap(), 0);
}

pub(crate) async fn a_coupon_that_was_made_is_told_from_those_that_were_known(servers: &Servers) {
    let (main, before) = (&servers.main, terms_of(servers, coupon(1)).await);
    let new = CatalogueChange::CreateCoupon(NewCoupon {
        coupon_id: coupon(7_777),
        room_id: before.room,
        coupon_name: "new".to_owned(),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(100)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 4,
        start_time: noon(),
        end_time: noon().plus_millis(1_000),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    });
    assert_eq!(made(servers, &new).await, Made { version: 1, changed: true, added: 0 });
    assert_eq!(made(servers, &new).await, Made { version: 1, changed: false, added: 0 });
    let terms = terms_of(servers, coupon(7_777)).await;
    assert_eq!((terms.total, terms.room, terms.active), (4, before.room, true));
    let both = [coupon(1), coupon(7_777)];
    assert_eq!(main.made_since(0, &both).await.unwrap(), [coupon(7_777)]);
    assert_eq!(main.made_since(1, &both).await.unwrap(), []);
    let mut books = main.books().await.unwrap();
    books.lock_logs().await.unwrap();
    assert_eq!(books.stocks(&[coupon(7_777)]).await.unwrap()[&coupon(7_777)].remaining, 4);
    books.roll_back().await.unwrap();
    main.note_put_back().await.unwrap();
    main.note_put_back().await.unwrap();
    assert_eq!(main.made_since(0, &both).await.unwrap(), [], "it has forgotten whom it knew");
}

pub(crate) async fn a_process_is_behind_until_it_says_that_it_is_not_or_ends(servers: &Servers) {
    let main = &servers.main;
    let process =
        |holder: &str| Living { holder: holder.to_owned(), name: format!("process {holder}"), shards: 2 };
    let (one, other) = (process("one"), process("other"));
    main.goes_by(&one, 0).await.unwrap();
    main.goes_by(&other, 1).await.unwrap();
    assert_eq!(main.behind(1).await.unwrap(), ["process one"]);
    assert!(main.behind(0).await.unwrap().is_empty());
    main.goes_by(&one, 1).await.unwrap();
    assert!(main.behind(1).await.unwrap().is_empty());
    assert_eq!(main.behind(2).await.unwrap(), ["process one", "process other"]);
    main.ended(&one).await.unwrap();
    assert_eq!(main.behind(2).await.unwrap(), ["process other"]);
}

pub(crate) async fn edits_by_hand_become_changes_if_nothing_has_changed_meanwhile(servers: &Servers) {
    let (main, before) = (&servers.main, terms_of(servers, coupon(1)).await);
    let edits = [Edit { before, total: 2, what: "total_stock 1 → 2".to_owned() }];
    assert!(main.record_edits(0, &edits).await.unwrap());
    assert!(!main.record_edits(0, &edits).await.unwrap(), "it is another version by now");
    assert_eq!(main.version().await.unwrap(), 1);
    let changes = main.changes(10).await.unwrap();
    assert_eq!((changes.len(), changes[0].operator.as_str()), (1, "by hand"));
    let news = main.news(Some(0)).await.unwrap();
    assert_eq!(news.terms.iter().map(|terms| terms.coupon).collect::<Vec<_>>(), [coupon(1)]);
}

pub(crate) async fn an_epoch_does_not_open_by_a_catalogue_that_has_changed_since(servers: &Servers) {
    let mut lock = servers.main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    assert!(lock.take_epoch(1, 0).await.unwrap());
    let filled_by = servers.main.terms().await.unwrap().version;
    made(servers, &total(1, 3)).await;
    assert_eq!(lock.open(1, filled_by).await.unwrap(), Opening::Changed);
    let filled_by = servers.main.terms().await.unwrap().version;
    assert_eq!(lock.open(1, filled_by).await.unwrap(), Opening::Open);
    lock.end().await;
}
