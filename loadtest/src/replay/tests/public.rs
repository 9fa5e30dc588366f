//! Public data sets by the forms of their headers, with rows made up here.

use super::*;

/// Users and rooms, and their places in time, in the order of time.
fn seen(recording: &Recording) -> Vec<(u64, String, String)> {
    let label = |id: u64| {
        let at = recording.rooms.ids.binary_search(&id).unwrap();
        recording.rooms.labels[at].clone()
    };
    let rows = recording.rows().iter();
    rows.map(|row| (row.user.get(), label(row.room.get()), row.time.to_string())).collect()
}

fn one(text: &str) -> (u64, String, String) {
    let recording = read_as(text, &ReadOptions::default()).unwrap();
    let [only] = seen(&recording).try_into().unwrap();
    only
}

fn row(user: u64, room: &str, time: &str) -> (u64, String, String) {
    (user, room.to_owned(), time.to_owned())
}

#[test]
fn rees46_events_are_purchases_by_category_at_utc() {
    let text = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
        2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d7\n\
        2019-10-01 00:00:04 UTC,purchase,1004237,2053013555631882655,electronics.smartphone,apple,1081.98,535871217,c6bd\n";
    assert_eq!(one(text), row(535_871_217, "2053013555631882655", "2019-10-01T00:00:04.000Z"));
    let recording = read_as(text, &ReadOptions::default()).unwrap();
    assert!(recording.rooms.are_numbered);
    let told = described(&recording);
    assert!(told.contains("REES46 shop events") && told.contains("1 row not taken"), "{told}");
}

#[test]
fn tianchi_mobile_purchases_are_known_to_the_hour() {
    let text = "user_id,item_id,behavior_type,user_geohash,item_category,time\r\n\
        98047837,232431562,1,,4245,2014-12-06 02\r\n97726136,383583590,4,9t4qcbn,5894,2014-12-09 20\r\n";
    let (user, room, time) = one(text);
    assert_eq!((user, room.as_str()), (97_726_136, "5894"));
    assert!(time.starts_with("2014-12-09T20:"), "{time}");
}

#[test]
fn retailrocket_transactions_are_grabs_of_items() {
    let text = "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n\
        1433222276276,599528,transaction,356475,4000\n";
    assert_eq!(one(text), row(599_528, "356475", "2015-06-02T05:17:56.276Z"));
}

#[test]
fn jdata_orders_have_users_with_a_fraction_of_zero() {
    let text = "user_id,sku_id,time,model_id,type,cate,brand\n\
        266079.0,138778,2016-01-31 23:59:02,0,1,8,403\n200719.0,61226,2016-01-31 23:59:03,,4,5,30\n";
    assert_eq!(one(text), row(200_719, "5", "2016-01-31T23:59:03.000Z"));
}

#[test]
fn kuailive_visits_are_by_streamer() {
    let text = "user_id,live_id,streamer_id,timestamp,watch_live_time\n13597,9023,4412,1683388800123,17532\n";
    assert_eq!(one(text), row(13_597, "4412", "2023-05-06T16:00:00.123Z"));
}

#[test]
fn o2o_receipts_have_days_and_lines_without_a_coupon() {
    let text = "User_id,Merchant_id,Coupon_id,Discount_rate,Distance,Date_received,Date\n\
        1439408,2632,null,null,0,null,20160217\n1439408,4663,11002,150:20,1,20160528,null\n";
    let (user, room, time) = one(text);
    assert_eq!((user, room.as_str()), (1_439_408, "4663"));
    assert!(time.starts_with("2016-05-28T"), "{time}");
}

#[test]
fn taobao_behaviour_has_no_header() {
    let text = "1,2268318,2520377,pv,1511544070\n100,1603476,2951233,buy,1511579908\n";
    let reading = ReadOptions {
        header: Some("user,coupon,room,behaviour,time".parse().unwrap()),
        conditions: vec!["behaviour=buy".parse().unwrap()],
        asked: vec!["room_coupons=behaviour:pv".parse().unwrap()],
        ..ReadOptions::default()
    };
    let recording = read_as(text, &reading).unwrap();
    assert_eq!(seen(&recording), [row(100, "2951233", "2017-11-25T03:18:28.000Z")]);
    assert_eq!(recording.asked().len(), 1);
}

#[test]
fn twitter_cache_traces_count_seconds_from_0() {
    let text = "0,q:q:1:8WTfjZU14ee,17,213,4,get,0\n0,yDqF:3q:1AJrrJ1nnCJKKrnGx1A,27,27,5,get,0\n\
        7,q:q:1:8WTlcNWS8Hw,17,213,6,set,0\n";
    let reading = ReadOptions {
        header: Some("time,coupon,_,_,user,operation,_".parse().unwrap()),
        columns: Some("room=coupon".parse().unwrap()),
        ..ReadOptions::default()
    };
    let recording = read_as(text, &reading).unwrap();
    let times: Vec<i64> = recording.rows().iter().map(|row| row.time.millis()).collect();
    assert_eq!(times, [0, 0, 7_000]);
    assert!(recording.rooms.are_numbered && described(&recording).contains("seconds since the trace began"));
}
