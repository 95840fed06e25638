//! A server of the matrix on standard streams, on the Rust SDK 1.x: it ends at a first message that is not `initialize`.

use rmcp::model::{
    CallToolRequestParams, CallToolResult, Content, Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerInfo, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value, json};

struct Matrix;

fn tool(name: &'static str, description: &'static str, properties: Value) -> Tool {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Tool::new(name, description, schema.as_object().cloned().unwrap_or_default())
}

impl ServerHandler for Matrix {
    fn get_info(&self) -> ServerInfo {
        let mut info = ServerInfo::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info = Implementation::new("matrix", "1.0.0");
        info.instructions = Some("A server of the matrix.".into());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![
            tool("add", "The sum of two numbers.", json!({"a": {"type": "integer"}, "b": {"type": "integer"}})),
            tool("echo", "The message.", json!({"message": {"type": "string"}})),
            tool("fail", "Fails.", json!({})),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let number = |name: &str| {
            arguments.get(name).and_then(Value::as_i64).ok_or_else(|| ErrorData::invalid_params(format!("{name} is no integer"), None))
        };
        let text = match request.name.as_ref() {
            "add" => (number("a")? + number("b")?).to_string(),
            "echo" => arguments.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            "fail" => return Ok(CallToolResult::error(vec![Content::text("as asked")])),
            other => return Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        };
        Ok(CallToolResult::success(vec![Content::text(text)]))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Matrix.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
