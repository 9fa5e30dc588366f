//! A Chromium, driven by the DevTools protocol over two pipes: JSON with a NUL behind it, no socket, no port.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::PATIENCE;

/// The interval at which a page is asked whether something has come.
const ASK: Duration = Duration::from_millis(50);

/// The browser reads commands from file 3 and writes answers to file 4.
const SCRIPT: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

pub(crate) struct Browser {
    child: Child,
    commands: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    number: Cell<u64>,
    /// Complaints of the pages: scripts that failed, things that a policy refused.
    complaints: RefCell<Vec<String>>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; installs it where that can be done.
    pub(crate) fn start() -> Self {
        let program = coupon_stack::install::chromium().unwrap_or_else(|error| panic!("{error:#}"));
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--disable-dev-shm-usage", "--disable-gpu"])
            .args(["--no-first-run", "--disable-background-networking", "--window-size=1280,900"])
            // As root it does not start in a sandbox, and elsewhere there may be none.
            .args(["--no-sandbox".to_owned(), format!("--user-data-dir={}", profile.path().display())])
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = RefCell::new(child.stdin.take().unwrap());
        let messages = read(child.stdout.take().unwrap());
        let complaints = RefCell::default();
        Self { child, commands, messages, number: Cell::new(0), complaints, _profile: profile }
    }

    /// Opens a page in a new tab.
    pub(crate) fn open(&self, url: &str) -> Tab<'_> {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let tab = self.attach(&target["targetId"]);
        tab.call("Page.navigate", &json!({ "url": url }));
        tab
    }

    /// The tab that shows such a page, once there is one.
    pub(crate) fn tab(&self, url: &str) -> Tab<'_> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let targets = self.call(None, "Target.getTargets", &json!({}));
            let shows = |target: &&Value| target["url"].as_str().is_some_and(|at| at.ends_with(url));
            if let Some(target) = targets["targetInfos"].as_array().unwrap().iter().find(shows) {
                return self.attach(&target["targetId"]);
            }
            assert!(Instant::now() < patience, "no tab shows {url}: {targets}");
            std::thread::sleep(ASK);
        }
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    fn attach(&self, target: &Value) -> Tab<'_> {
        let attached =
            self.call(None, "Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        let tab = Tab { browser: self, session: attached["sessionId"].as_str().unwrap().to_owned() };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.call(domain, &json!({}));
        }
        tab
    }

    fn call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        let id = self.number.get() + 1;
        self.number.set(id);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut commands = self.commands.borrow_mut();
        commands.write_all(command.to_string().as_bytes()).unwrap();
        commands.write_all(&[0]).unwrap();
        commands.flush().unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.listen(&message);
        }
    }

    fn listen(&self, message: &Value) {
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            _ => false,
        };
        if complaint {
            self.complaints.borrow_mut().push(message["params"].to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends by itself once its connection is gone, but not soon.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every message, as a thread reads it.
fn read(stdout: ChildStdout) -> Receiver<Value> {
    let (send, messages) = mpsc::channel();
    std::thread::spawn(move || {
        for message in BufReader::new(stdout).split(0).map_while(Result::ok) {
            if send.send(serde_json::from_slice(&message).unwrap()).is_err() {
                return;
            }
        }
    });
    messages
}

pub(crate) struct Tab<'a> {
    browser: &'a Browser,
    session: String,
}

impl Tab<'_> {
    fn call(&self, method: &str, parameters: &Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// The value of an expression.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true. It is not while what it names is not on the page yet.
    pub(crate) fn wait(&self, expression: &str) {
        let patience = Instant::now() + PATIENCE;
        let holds =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        while self.eval(&holds) != true {
            let text = || self.eval("document.body?.innerText");
            assert!(Instant::now() < patience, "{expression} did not come: {}", text());
            std::thread::sleep(ASK);
        }
    }

    /// Writes into a field, which then has the focus.
    pub(crate) fn fill(&self, id: &str, text: &str) {
        self.eval(&format!("document.getElementById('{id}').focus(), document.activeElement.select()"));
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key where the focus is.
    pub(crate) fn press(&self, key: &str, code: u32, text: &str) {
        let down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", &down);
        let mut up = down;
        up["type"] = "keyUp".into();
        up.as_object_mut().unwrap().remove("text");
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// Shows the page in a window of that size.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    pub(crate) fn press_enter(&self) {
        self.press("Enter", 13, "\r");
    }
}
