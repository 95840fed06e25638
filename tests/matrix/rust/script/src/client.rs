//! Carries out the actions of the matrix with a client, and prints the result of each: see ../../../programs/client.py.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// The limit for one action.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a call waits for its last progress after its result: the SDK handles notifications beside answers.
const LATE: Duration = Duration::from_secs(2);

pub type Outcome<T> = Result<T, Box<dyn Error>>;

pub enum Target {
    Url(String),
    Command(Vec<String>),
}

/// The progress that a call has reported until now.
pub type Progress = Arc<Mutex<Vec<Value>>>;

/// One connection of an SDK.
#[allow(async_fn_in_trait)]
pub trait Client: Sized {
    /// Connects in a mode of the SDK, and gives the server's description of itself.
    async fn connect(target: &Target, mode: &str) -> Outcome<(Self, Value)>;
    /// `what` is `tools`, `prompts` or `resources`.
    async fn list(&mut self, what: &str) -> Outcome<Value>;
    async fn call(&mut self, tool: &str, arguments: Map<String, Value>, progress: Progress) -> Outcome<Value>;
    async fn read(&mut self, uri: &str) -> Outcome<Value>;
    async fn prompt(&mut self, name: &str, arguments: Map<String, Value>) -> Outcome<Value>;
    async fn close(self) -> Outcome<()>;
}

/// Carries out `actions` at each of `targets`, both as JSON.
pub async fn run<C: Client>(mode: &str, targets: &str, actions: &str) -> Outcome<()> {
    let targets: Vec<Value> = serde_json::from_str(targets)?;
    let actions: Vec<Vec<Value>> = serde_json::from_str(actions)?;
    for (index, target) in targets.iter().enumerate() {
        let target = match target {
            Value::String(url) => Target::Url(url.clone()),
            words => Target::Command(serde_json::from_value(words.clone())?),
        };
        let mut client: Option<C> = None;
        for action in &actions {
            let mut line = act(&mut client, mode, &target, action).await;
            line["target"] = json!(index);
            println!("{line}");
        }
    }
    Ok(())
}

async fn act<C: Client>(client: &mut Option<C>, mode: &str, target: &Target, action: &[Value]) -> Value {
    let progress = Progress::default();
    let done = tokio::time::timeout(LIMIT, step(client, mode, target, action, progress.clone())).await;
    let end = Instant::now() + LATE;
    while matches!(done, Ok(Ok(_))) && count(&progress) < steps(action) && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut line = match done {
        Ok(Ok(result)) => json!({"result": result}),
        Ok(Err(error)) => json!({"error": chain(error.as_ref())}),
        Err(_) => json!({"error": format!("no answer within {LIMIT:?}")}),
    };
    let seen = progress.lock().expect("nobody panics with the lock");
    if !seen.is_empty() {
        line["progress"] = json!(*seen);
    }
    line
}

fn count(progress: &Progress) -> usize {
    progress.lock().expect("nobody panics with the lock").len()
}

/// How often an action reports its progress, as its arguments say.
fn steps(action: &[Value]) -> usize {
    let arguments = action.get(2).filter(|_| action[0] == "call");
    arguments.and_then(|map| map["steps"].as_u64()).unwrap_or_default() as usize
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn step<C: Client>(
    client: &mut Option<C>,
    mode: &str,
    target: &Target,
    action: &[Value],
    progress: Progress,
) -> Outcome<Value> {
    let text = |index: usize| action[index].as_str().unwrap_or_default();
    let map = |index: usize| action[index].as_object().cloned().unwrap_or_default();
    if text(0) == "connect" {
        let (fresh, hello) = C::connect(target, mode).await?;
        *client = Some(fresh);
        return Ok(hello);
    }
    if text(0) == "close" {
        if let Some(old) = client.take() {
            old.close().await?;
        }
        return Ok(json!("closed"));
    }
    let client = client.as_mut().ok_or("not connected")?;
    match text(0) {
        "call" => client.call(text(1), map(2), progress).await,
        "read" => client.read(text(1)).await,
        "prompt" => client.prompt(text(1), map(2)).await,
        what => client.list(what).await,
    }
}
