//! The tools of the small server, as ../../../programs/server.py has them.

use serde_json::{Map, Value, json};

/// The pause after each progress notification: clients handle notifications beside answers.
pub const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

pub struct Tool {
    pub name: &'static str,
    pub description: &'static str,
    pub schema: Map<String, Value>,
}

/// What a call gives.
pub enum Answer {
    Text(String),
    /// An error of the tool, in its result.
    Failed(String),
    /// JSON-RPC error -32602.
    Invalid(String),
    /// Progress notifications from 1 to this number, then the number as text.
    Count(u32),
}

pub fn tools() -> Vec<Tool> {
    vec![
        tool("add", "The sum of two numbers.", json!({"a": {"type": "integer"}, "b": {"type": "integer"}})),
        tool("echo", "The message.", json!({"message": {"type": "string"}})),
        tool("count", "Reports its progress so many times.", json!({"steps": {"type": "integer"}})),
        tool("fail", "Fails.", json!({})),
    ]
}

pub fn call(name: &str, arguments: &Map<String, Value>) -> Answer {
    let number =
        |name: &str| arguments.get(name).and_then(Value::as_i64).ok_or_else(|| format!("{name} is no integer"));
    let answer = match name {
        "add" => number("a").and_then(|a| number("b").map(|b| Answer::Text((a + b).to_string()))),
        "echo" => Ok(Answer::Text(arguments.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())),
        "count" => number("steps").map(|steps| Answer::Count(steps.clamp(0, 100) as u32)),
        "fail" => Ok(Answer::Failed("as asked".to_owned())),
        other => Err(format!("no tool {other}")),
    };
    answer.unwrap_or_else(Answer::Invalid)
}

fn tool(name: &'static str, description: &'static str, properties: Value) -> Tool {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Tool { name, description, schema: schema.as_object().cloned().unwrap_or_default() }
}
