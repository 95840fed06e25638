//! Server and client of the matrix on the Rust SDK 3.x: `matrix-rmcp3 serve [PORT]`, `matrix-rmcp3 client MODE TARGETS ACTIONS`.
//!
//! MODE is `auto`, or `legacy`: by handshake.

mod client;
mod server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve"] => server::on_standard_streams().await,
        ["serve", port] => server::over_http(port.parse()?).await,
        ["client", mode, targets, actions] => script::client::run::<client::Session>(mode, targets, actions).await,
        _ => Err("usage: matrix-rmcp3 serve [PORT] | client auto|legacy TARGETS ACTIONS".into()),
    }
}
