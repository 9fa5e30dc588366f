//! The operators' page: what it shows, asks for and changes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coupon_lab::built;

use super::browser::{Browser, Tab};
use super::server::{PATIENCE, ask};

const JSON: &str = "Content-Type: application/json\r\n";
const TOKEN: &str = "open sesame";

/// A service over the sample catalogue, in a folder of its own. Dropping it ends it.
struct Service {
    child: Child,
    host: String,
    _data: tempfile::TempDir,
}

impl Service {
    /// With that token of operators, or without one.
    fn start(token: Option<&str>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(built("hash-svc").unwrap());
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--set",
            "log.level=error",
            "--set",
            "shards_prepared=8",
            "--data",
        ]);
        command.arg(data.path());
        if let Some(token) = token {
            command.env("COUPON__ADMIN__TOKEN", token);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, host, _data: data }
    }

    fn page<'a>(&self, browser: &'a Browser) -> Tab<'a> {
        browser.open(&format!("http://{}/admin", self.host))
    }

    fn grab(&self, user: u64, coupon: u64) -> String {
        let body = format!(r#"{{"user_id":{user},"coupon_id":{coupon},"request_id":"cart-{user}"}}"#);
        let (status, answer) = ask(&self.host, "POST", "/api/coupon/grab", JSON, &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text of a part of a coupon's row, which is the one so far from the top.
fn part(row: usize, class: &str) -> String {
    format!("document.querySelector('#rows tr:nth-child({row}) .{class}').textContent")
}

fn click(page: &Tab<'_>, row: usize, change: &str) {
    page.eval(&format!("document.querySelector('#rows tr:nth-child({row}) [data-change={change}]').click()"));
    page.wait("document.getElementById('dialog').open");
}

/// A laptop's window beside another one, and a phone.
const NARROW: [(u32, u32); 2] = [(1_024, 700), (390, 844)];

/// Finds nothing that is wider than a window of that size.
fn fits(page: &Tab<'_>, (width, height): (u32, u32)) {
    page.resize(width, height);
    page.wait(&format!("innerWidth === {width}"));
    let overflow = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, 0, "{width}");
}

/// The complaints of pages. The browser itself reports answers of 4xx on the console.
fn complaints(browser: &Browser) -> Vec<String> {
    browser.complaints().into_iter().filter(|complaint| !complaint.contains("status of 4")).collect()
}

fn status_says(page: &Tab<'_>, words: &str) {
    page.wait(&format!("document.getElementById('status')?.textContent.includes('{words}')"));
}

#[test]
fn an_operator_signs_in_and_changes_a_sale_while_it_goes_on() {
    let (service, browser) = (Service::start(Some(TOKEN)), Browser::start());
    let page = service.page(&browser);
    status_says(&page, "wants a token");
    assert_eq!(page.eval("document.querySelectorAll('#rows tr').length"), 0);
    page.fill("token", "guessed");
    page.press_enter();
    status_says(&page, "does not know this token");
    page.fill("token", TOKEN);
    page.fill("operator", "王小明");
    page.press_enter();
    page.wait("document.querySelectorAll('#rows tr').length === 25");
    assert_eq!(page.eval("document.cookie + localStorage.length"), "0");

    for user in 1..=3 {
        service.grab(user, 1);
    }
    page.wait(&format!("{}.startsWith('3')", part(1, "sold")));
    let total: u64 = page.eval(&part(1, "total")).as_str().unwrap().replace(',', "").parse().unwrap();
    click(&page, 1, "raise");
    page.fill("total", "-5");
    page.press_enter();
    page.wait(
        "document.getElementById('wrong-total').textContent === 'total_stock must be from 0 to 2147483647'",
    );
    page.fill("total", &(total + 1).to_string());
    page.press_enter();
    status_says(&page, "Coupon 1: in force as version 1");
    page.wait(&format!("{}.replaceAll(',', '') === '{}'", part(1, "total"), total + 1));
    page.wait(&format!("{}.replaceAll(',', '') === '{}'", part(1, "left"), total + 1 - 3));
    let line = "document.querySelector('#change-rows tr').textContent";
    page.wait(&format!(
        "{line}.includes('王小明') && {line}.includes('total_stock {total} → {}')",
        total + 1
    ));

    click(&page, 2, "withdraw");
    page.press_enter();
    page.wait(&format!("{} === 'withdrawn'", part(2, "phase")));
    assert!(service.grab(5, 2).contains("invalid_time"));
    click(&page, 2, "offer");
    page.press_enter();
    page.wait(&format!("{} === 'on sale'", part(2, "phase")));
    click(&page, 3, "end");
    // A dialog that is left changes nothing.
    page.eval("document.getElementById('leave').click()");
    click(&page, 3, "end");
    page.press_enter();
    page.wait(&format!("{} === 'over'", part(3, "phase")));
    status_says(&page, "version 4");

    service.grab(7, 51);
    for first in ["coupon 26,", "coupon 51,"] {
        page.eval("document.getElementById('more').click()");
        page.wait(&format!("{}.startsWith('{first}')", part(1, "of")));
    }
    page.wait(&format!("{} === '1'", part(1, "held")));
    assert_eq!(page.eval("document.getElementById('more').disabled"), true);
    page.eval("document.getElementById('back').click()");
    page.wait(&format!("{}.startsWith('coupon 26,')", part(1, "of")));
    page.wait("[...document.querySelectorAll('#shard-rows td:nth-child(2)')].every(cell => cell.textContent === 'up')");
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn without_a_token_the_page_shows_the_sale_at_once_by_room_and_in_any_width() {
    let (service, browser) = (Service::start(None), Browser::start());
    let page = service.page(&browser);
    page.wait("document.querySelectorAll('#rows tr').length === 25");
    page.wait("document.getElementById('up').textContent === 'all 8 shards are up'");
    page.wait("document.getElementById('who').textContent === 'Say who you are'");
    page.fill("room", "10");
    page.press_enter();
    page.wait("document.querySelectorAll('#rows tr').length === 6");
    page.fill("room", "ten");
    page.press_enter();
    page.wait("document.getElementById('wrong-room').textContent.includes('whole number')");
    for size in NARROW {
        fits(&page, size);
        let hidden = "[...document.querySelectorAll('#rows button')].filter(b => b.getBoundingClientRect().right > innerWidth).length";
        assert_eq!(page.eval(hidden), 0, "{size:?}");
    }
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

/// Has the service do what Ann asks for, as soon as it can.
fn ask_as_ann(service: &Service, path: &str, body: &str) {
    let headers = format!("{JSON}X-Operator: Ann\r\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, answer) = ask(&service.host, "POST", path, &headers, body);
        // A version of the layout is in force a second after it was announced.
        if status == 409 && answer.contains("wait until then") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        assert_eq!(status, 200, "{path}: {answer}");
        return;
    }
}

#[test]
fn the_layout_is_shown_with_its_versions_what_moves_and_what_is_archived() {
    let (service, browser) = (Service::start(None), Browser::start());
    let page = service.page(&browser);
    let says = |place: &str, words: &str| {
        page.wait(&format!("document.getElementById('{place}').textContent.includes({words:?})"));
    };
    says("layout-now", "version 1 of the layout, over 4 shards; 8 are prepared: hash of user_id");
    assert_eq!(
        page.eval("document.getElementById('moving').hidden && document.getElementById('archive').hidden"),
        true
    );
    for user in 1..=20 {
        service.grab(user, 1);
    }
    ask_as_ann(&service, "/admin/layout", r#"{"shards":8}"#);
    says("layout-now", "version 2 of the layout, over 8 shards: hash of user_id");
    let latest = "document.querySelector('#version-rows tr').textContent";
    page.wait(&format!(
        "{latest}.startsWith('2') && {latest}.includes('Ann') && {latest}.includes('go on over 8 shards')"
    ));
    ask_as_ann(&service, "/admin/rebalance", r#"{"rows_per_s":1}"#);
    says("moving-now", "Rows to version 2, begun by Ann");
    says("moving-now", "under way");
    says("moving-now", "of 20 looked at");
    ask_as_ann(&service, "/admin/rebalance", r#"{"rows_per_s":1000000}"#);
    says("moving-now", "done");
    page.wait("document.querySelectorAll('#version-rows tr')[1].textContent.includes('closed')");
    ask_as_ann(&service, "/admin/archive", r#"{"before":"2026-01-01"}"#);
    says("archive-now", "Results of the days before 2026-01-01, archived by Ann");
    says("archive-now", "not under way any more. 0 of 0 have gone");
    let line = "document.querySelector('#change-rows tr').textContent";
    page.wait(&format!("{line}.includes('are archived') && !{line}.includes('users')"));
    for size in NARROW {
        fits(&page, size);
    }
    assert_eq!(complaints(&browser), Vec::<String>::new());
}
