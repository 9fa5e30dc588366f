//! Lines that make no sense, headers, encodings and sizes.

use super::*;
use crate::replay::RowShare;

fn receipts(lines: &str) -> Result<Recording> {
    read_as(format!("User_id,Merchant_id,Coupon_id,Distance,Date_received\n{lines}"), &ReadOptions::default())
}

#[test]
fn lines_that_make_no_sense_are_counted_by_reason_with_the_first_of_each() {
    let recording = receipts(
        "4129537,450,9983,1,20160712\n6949378,1300,null,null,null\n2166529,7113,3429\n\
         \"2166529\",7113,11928,5,20160727\n6172162,7113,11928,2,20161399\n,7113,11928,2,20160708\n\
         4005121,450,NULL,0,20160706\n",
    )
    .unwrap();
    assert_eq!(recording.rows().len(), 2);
    let reasons = recording.left_out.reasons();
    assert_eq!(reasons[0], ("nothing in Coupon_id", 2, 3));
    assert!(reasons.contains(&("not 5 fields as in the header", 1, 4)), "{reasons:?}");
    assert!(reasons.contains(&("no time of that kind in Date_received", 1, 6)), "{reasons:?}");
    assert!(reasons.contains(&("nothing in User_id", 1, 7)), "{reasons:?}");
}

#[test]
fn a_quote_that_stays_open_costs_all_the_lines_it_swallows() {
    let recording =
        receipts("1,450,9983,1,20160712\n2,450,9983,1,\"20160712\n3,450,9983,1,20160712\n4,450,9983,1,1\n")
            .unwrap();
    assert_eq!((recording.rows().len(), recording.left_out.lines()), (1, 3));
    let reason =
        "no time of that kind in Date_received, and a field has line breaks: a quote may not be closed";
    assert_eq!(recording.left_out.reasons(), [(reason, 3, 3)]);
    // A field that has its quotes may have line breaks.
    let recording = receipts("\"1\n2\",450,9983,1,20160712\n3,450,\"9\n\n9\",1\n").unwrap();
    assert_eq!((recording.rows().len(), recording.left_out.lines()), (1, 3));
}

#[test]
fn lines_have_their_numbers_whatever_ends_them_and_commas_may_trail() {
    for end in ["\n", "\r\n"] {
        let lines = ["# exported", "sep=,", HEADER, "1,1,1,20160101,,", "2,,1,20160101", ""];
        let recording = read_as(lines.join(end), &ReadOptions::default()).unwrap();
        assert_eq!(recording.left_out.reasons(), [("nothing in room_id", 1, 5)], "{end:?}");
        assert_eq!(recording.rows().len(), 1);
    }
    let commented = ours("1,1,1,20160101\n# a break\n2,1,1,20160102\n").unwrap();
    assert_eq!((commented.rows().len(), commented.left_out.reasons()), (2, vec![("a comment", 1, 3)]));
}

#[test]
fn a_file_without_a_line_that_makes_sense_is_refused_and_says_why() {
    let error = format!("{:#}", receipts("1,2,null,4,20160101\n").unwrap_err());
    assert!(error.contains("nothing in Coupon_id: 1 (the first is line 2)"), "{error}");
    for (text, told) in [
        (String::new(), "it is empty"),
        (HEADER.to_owned(), "none under the header"),
        (format!("{HEADER}\n1,1,1,soon\n"), "\"soon\" is no time"),
        ("a,b\n1,2\n".to_owned(), "--map user="),
    ] {
        let error = refused(text, &ReadOptions::default());
        assert!(error.contains(told), "{error}");
    }
    let error =
        format!("{:#}", read(std::path::Path::new("no-such.csv"), &ReadOptions::default()).unwrap_err());
    assert!(error.contains("no-such.csv"), "{error}");
}

#[test]
fn columns_may_be_parted_by_other_signs() {
    for sign in [";", "\t", "|"] {
        let text = format!("{HEADER}\n1,1,1,2016-01-01 10:00:00\n").replace(',', sign);
        assert_eq!(read_as(text, &ReadOptions::default()).unwrap().rows().len(), 1, "{sign:?}");
    }
}

#[test]
fn text_that_is_no_utf8_costs_its_line_alone_and_its_encoding_can_be_named() {
    let csv =
        [format!("\u{feff}{HEADER}\n").as_bytes(), b"\xff,1,1,20160101\n", b"a,1,1,20160101\n"].concat();
    let recording = read_as(&csv, &ReadOptions::default()).unwrap();
    assert_eq!(recording.rows().len(), 1);
    let reason = "no UTF-8 text in user_id (--encoding names another encoding)";
    assert_eq!(recording.left_out.reasons(), [(reason, 1, 2)]);

    let (gbk, ..) = encoding_rs::GBK.encode("用户,房间,券,时间\n张三,一,甲,20160101\n");
    let columns = Some("user=用户,room=房间,coupon=券,time=时间".parse().unwrap());
    let mut reading = ReadOptions { columns, ..ReadOptions::default() };
    assert!(refused(&gbk, &reading).contains("--encoding gbk"));
    reading.source.encoding = Some("gbk".parse().unwrap());
    assert_eq!(read_as(&gbk, &reading).unwrap().rooms.labels, ["一"]);
}

#[test]
fn a_column_of_a_key_costs_its_line_where_it_is_no_utf8_or_too_long() {
    let line = |shop: &[u8], day: u8| [&b"1,1,1,2016010"[..], &[day], b",", shop, b"\n"].concat();
    let (fits, beyond) = ("x".repeat(1_024), "x".repeat(1_025));
    let shops = [&b"\xff"[..], b"a", fits.as_bytes(), beyond.as_bytes()];
    let lines: Vec<u8> = shops.into_iter().zip(b'1'..).flat_map(|(shop, day)| line(shop, day)).collect();
    let csv = [format!("{HEADER},shop\n").as_bytes(), &lines].concat();
    let keys = vec!["shop".parse().unwrap()];
    let recording = read_as(&csv, &ReadOptions { keys, ..ReadOptions::default() }).unwrap();
    assert_eq!((recording.rows().len(), recording.keys()[0].hashes.len()), (2, 2));
    let reasons = recording.left_out.reasons();
    let no_text = "no UTF-8 text in shop (--encoding names another encoding)";
    assert!(reasons.contains(&(no_text, 1, 2)), "{reasons:?}");
    assert!(reasons.contains(&("more than 1,024 bytes in shop", 1, 5)), "{reasons:?}");
    // Columns that nothing is kept of may hold anything.
    assert_eq!(read_as(&csv, &ReadOptions::default()).unwrap().rows().len(), 4);
}

#[test]
fn an_id_of_more_than_1024_bytes_costs_its_line() {
    for (place, name) in ["user_id", "room_id", "coupon_id"].into_iter().enumerate() {
        let mut ids = ["1", "1", "1"].map(str::to_owned);
        ids[place] = "x".repeat(1_025);
        let recording = ours(&format!("1,1,1,20160101\n{},20160101\n", ids.join(","))).unwrap();
        let reason = format!("more than 1,024 bytes in {name}");
        assert_eq!(recording.left_out.reasons(), [(&*reason, 1, 3)]);
    }
}

#[test]
fn a_row_that_is_left_out_for_its_time_is_in_no_keys_sample() {
    // Days alone, which are spread over their day; and moments.
    for times in [["19700101", "20160101"], ["5", "1451606400"]] {
        let line = |n: usize| format!("{n},{n},1,{}\n", times[usize::from(n > 0)]);
        let text = format!("{HEADER}\n{}", (0..1_000).map(line).collect::<String>());
        let keys = vec!["room".parse().unwrap()];
        let recording = read_as(text, &ReadOptions { keys, ..ReadOptions::default() }).unwrap();
        let sample = &recording.keys()[0].sample;
        assert_eq!((recording.rows().len(), sample.len()), (999, 999), "{times:?}");
        assert!(sample.iter().all(|(millis, _)| *millis >= 1_451_606_400_000), "{times:?}");
    }
}

#[test]
fn a_header_that_is_data_or_names_a_column_twice_is_refused() {
    let data = "1,2520377,2355072,pv,1511544070\n1,2520377,2355072,pv,1511561733\n";
    let columns = Some("user=1,coupon=2520377,room=2355072,time=1511544070".parse().unwrap());
    for reading in [ReadOptions { columns, ..ReadOptions::default() }, ReadOptions::default()] {
        assert!(refused(data, &reading).contains("--columns user,coupon,room,_,time"));
    }
    let header = Some("user,coupon,room,_,time".parse().unwrap());
    let recording = read_as(data, &ReadOptions { header, ..ReadOptions::default() }).unwrap();
    assert_eq!(recording.rows().len(), 2);
    let twice = format!("{HEADER},user_id\n1,1,1,20160101,2\n");
    assert!(refused(twice, &ReadOptions::default()).contains("two columns \"user_id\""));
}

#[test]
fn a_field_of_any_size_costs_its_line_alone() {
    let long = "9".repeat(5 << 20);
    let recording = ours(&format!("1,1,1,20160101\n{long},1,1,20160101\n2,1,1,20160101\n")).unwrap();
    assert_eq!(recording.rows().len(), 2);
    assert_eq!(recording.left_out.reasons(), [("longer than a line can be (1 MiB, 65,536 fields)", 1, 3)]);
}

#[test]
fn a_pipe_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, format!("{HEADER}\n1,1,1,20160101\n")).unwrap()
    });
    assert_eq!(read(&pipe, &ReadOptions::default()).unwrap().rows().len(), 1);
    writer.join().unwrap();
}

#[test]
fn the_first_rows_or_a_part_of_them_are_read() {
    let lines: String =
        (0..4_000).map(|n| format!("{},{},1,2016010{}\n", n % 2_000, n % 9, n % 9 + 1)).collect();
    let text = format!("{HEADER}\n{lines}");
    let all = read_as(&text, &ReadOptions::default()).unwrap();
    let first = read_as(&text, &ReadOptions { first: Some(100), ..ReadOptions::default() }).unwrap();
    assert_eq!((all.rows().len(), first.rows().len()), (4_000, 100));
    let tenth: RowShare = "10%".parse().unwrap();
    let part = read_as(&text, &ReadOptions { sample: tenth, ..ReadOptions::default() }).unwrap();
    assert!((320..480).contains(&part.rows().len()), "{}", part.rows().len());
    assert!(described(&part).contains("a sample, 10 %"));
    // Of more rows than are to be kept, a part is: the same that would have been asked for.
    let bounded = read_as(&text, &ReadOptions { most: 1_500, ..ReadOptions::default() }).unwrap();
    assert!((750..=1_500).contains(&bounded.rows().len()), "{}", bounded.rows().len());
    let quarter = bounded.sampled.unwrap();
    let asked = read_as(&text, &ReadOptions { sample: quarter, ..ReadOptions::default() }).unwrap();
    assert_eq!(asked.rows(), bounded.rows());
}

#[test]
fn rows_that_are_no_grabs_are_queries_or_not_taken() {
    let lines = "1,7,1,20160101,buy\n1,7,2,20160101,view\n2,8,1,20160101,cart\n3,8,3,20160101,view\n";
    let text = format!("{HEADER},event\n{lines}");
    let reading = ReadOptions {
        conditions: vec!["event=buy".parse().unwrap()],
        asked: vec!["user_coupons=event:view".parse().unwrap()],
        ..ReadOptions::default()
    };
    let recording = read_as(&text, &reading).unwrap();
    assert_eq!((recording.rows().len(), recording.asked().len(), recording.users()), (1, 2, 2));
    assert!(described(&recording).contains("1 row not taken: they are not event=buy (event is \"cart\")"));
    let none = ReadOptions { conditions: vec!["event=gift".parse().unwrap()], ..ReadOptions::default() };
    assert!(
        refused(&text, &none)
            .contains("4 rows not taken: they are not event=gift (event is \"buy\", \"cart\", \"view\")")
    );
    let unknown = ReadOptions { conditions: vec!["kind=gift".parse().unwrap()], ..ReadOptions::default() };
    assert!(refused(&text, &unknown).contains("no column \"kind\" for --where"));
}

#[test]
fn a_quote_that_takes_in_many_lines_is_an_error_that_names_its_line_and_so_is_json() {
    let lines = "1,1,1,1456665255\n".repeat(500);
    let error = format!("{:#}", ours(&format!("{lines}2,\"1,1,1456665255\n{lines}")).unwrap_err());
    assert!(error.contains("line 502: a quote that opens in it is not closed"), "{error}");
    let json = read_as("{\"user_id\": 1, \"room_id\": 3}\n", &ReadOptions::default()).unwrap_err();
    assert!(format!("{json:#}").contains("its first line is JSON"), "{json:#}");
}
