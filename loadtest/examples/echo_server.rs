//! The least a service can do: answers every POST with the same granted grab, on one thread.
//!
//! What the load generator itself costs is measured against it, see docs/BENCHMARKS.md:
//!
//! ```text
//! cargo run --release -p loadtest --example echo_server -- 127.0.0.1:8009 &
//! cargo run --release -p loadtest -- run --target http://127.0.0.1:8009 --closed 64 --requests grabs
//! ```

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-length: 167\r\ncontent-type: application/json\r\n",
    "date: Sun, 22 Nov 2026 15:04:05 GMT\r\n\r\n",
    r#"{"user_id":12345,"coupon_id":456,"room_id":92,"grab_status":1,"fail_reason":null,"#,
    r#""result_id":"912345678901234567","grab_time":"2026-11-22T15:04:05.123Z","pad":"12345"}"#,
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8009".to_owned());
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

/// The client sends a request in one piece and waits for its answer: what arrives is one request.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await? > 0 {
        stream.write_all(ANSWER.as_bytes()).await?;
    }
    Ok(())
}
